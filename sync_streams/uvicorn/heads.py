"""Heads of requests: what they declare, and writing one for another parser."""

from typing import Any

Headers = list[tuple[bytes, bytes]]


def declared_bytes(headers: Headers) -> int:
    """Return the declared length of the body; 1 if chunked, as it is unknown."""
    found = dict(headers)
    if b"transfer-encoding" in found:
        return 1
    # The parser has already refused anything but a number.
    return int(found.get(b"content-length", b"0"))


def write_head(parser: Any, url: bytes, headers: Headers) -> bytes:
    """Return the head that a parser has just read as bytes, with other headers."""
    version = parser.get_http_version().encode()
    line = b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, version)
    return b"".join((line, *(b"%b: %b\r\n" % header for header in headers), b"\r\n"))
