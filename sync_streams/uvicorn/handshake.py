"""Handshake: answers a plain WebSocket upgrade from the headers that are already read.

The parser of ``websockets`` would read the same head again, and build its response from
objects. Anything unusual is left to the parser, and so is every refusal. See RFC 6455,
section 4.2.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING
from urllib.parse import unquote

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

from .heads import Headers

if TYPE_CHECKING:
    from uvicorn._types import WebSocketScope

HANDSHAKE_HEADERS = frozenset(
    {
        *(b"host", b"upgrade", b"connection", b"origin"),
        *(b"sec-websocket-key", b"sec-websocket-version"),
        *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
    }
)
"""Headers that the handshake itself reads: RFC 6455, section 4.2.1."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_WORD = re.compile(rb"[A-Za-z0-9.-]+")
_START = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """A plain handshake that is valid."""

    key: bytes
    subprotocols: list[str]
    """The subprotocols that the client offers."""


def read_handshake(headers: Headers) -> Handshake | None:
    """Read the headers of a ``GET`` in HTTP/1.1, if they are a plain handshake."""
    found = [header for header in headers if header[0] in HANDSHAKE_HEADERS]
    known = dict(found)
    key = known.get(b"sec-websocket-key", b"")
    offered = _words(known.get(b"sec-websocket-protocol"))
    if (
        len(known) < len(found)
        or known.get(b"upgrade", b"").lower() != b"websocket"
        or b"upgrade" not in map(bytes.lower, _words(known.get(b"connection")) or ())
        or known.get(b"sec-websocket-version") != b"13"
        or _KEY.fullmatch(key) is None
        or offered is None
    ):
        return None
    return Handshake(key, [word.decode() for word in offered])


def write_response(
    handshake: Handshake, headers: Iterable[tuple[bytes, bytes]], subprotocol: str
) -> bytes:
    """Return the response that opens the socket, with a subprotocol if there is one."""
    digest = sha1(handshake.key + _GUID, usedforsecurity=False).digest()
    lines = [b"%b: %b\r\n" % (name.lower(), value) for name, value in headers]
    if subprotocol:
        lines.append(b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode("latin-1"))
    return b"".join((_START, b64encode(digest), b"\r\n", *lines, b"\r\n"))


def write_scope(
    protocol: WebSocketsSansIOProtocol,
    handshake: Handshake,
    target: str,
    headers: Headers,
) -> "WebSocketScope":
    """Return the scope that uvicorn would create for a handshake."""
    raw_path, _, query_string = target.partition("?")
    return {
        "type": "websocket",
        "asgi": {"version": protocol.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": protocol.scheme,
        "server": protocol.server,
        "client": protocol.client,
        "root_path": protocol.root_path,
        "path": protocol.root_path + unquote(raw_path),
        "raw_path": (protocol.root_path + raw_path).encode("ascii"),
        "query_string": query_string.encode(),
        "headers": headers,
        "subprotocols": handshake.subprotocols,
        "state": protocol.app_state.copy(),
        "extensions": {"websocket.http.response": {}},
    }


def _words(value: bytes | None) -> list[bytes] | None:
    """Return the words of a list header, none if it is missing; ``None`` if unusual."""
    if value is None:
        return []
    words = [word.strip(b" \t") for word in value.split(b",")]
    return words if all(map(_WORD.fullmatch, words)) else None
