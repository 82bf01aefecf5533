"""Heads of requests: what they announce, and how one is written for another parser."""

from typing import Any

Headers = list[tuple[bytes, bytes]]


def declared_bytes(headers: Headers) -> int:
    """Return how long the body is said to be; chunked: 1, since it may be anything."""
    found = dict(headers)
    if b"transfer-encoding" in found:
        return 1
    # The parser has refused what is no number.
    return int(found.get(b"content-length", b"0"))


def write_head(parser: Any, url: bytes, headers: Headers) -> bytes:
    """Return the bytes of the head that a parser has just read, with other headers."""
    version = parser.get_http_version().encode()
    line = b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, version)
    return b"".join((line, *(b"%b: %b\r\n" % header for header in headers), b"\r\n"))
