"""Small frames and plain handshakes, read from their bytes: as by the parser."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from uvicorn.server import ServerState
from websockets.frames import Opcode
from websockets.utils import apply_mask
from wsproto.connection import Connection as StrictConnection
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection
from wsproto.utilities import RemoteProtocolError

from sync_streams.connections.frame_path import FRAME_EXTENSION
from sync_streams.connections.inbound import INBOUND_EXTENSION
from sync_streams.uvicorn import FramePathProtocol
from sync_streams.uvicorn.heads import Headers

TARGET = b"/v1/websocket?a=b%20c"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
PLAIN: Headers = [
    (b"host", b"example.com"),
    (b"upgrade", b"websocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"origin", b"https://example.com"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]
SPOILT: Headers = [
    (b"upgrade", b"h2c"),
    (b"upgrade", b"WebSocket"),
    (b"connection", b"close"),
    (b"connection", b"upgrade,"),
    (b"origin", b"https://other.example.com"),
    (b"sec-websocket-key", KEY[:-4]),
    (b"sec-websocket-key", b"not base64 not base64 =="),
    (b"sec-websocket-version", b"12"),
    (b"sec-websocket-version", b"13, 8"),
    (b"sec-websocket-protocol", b"sync-streams.v1, chat"),
    (b"sec-websocket-protocol", b"(none)"),
    (b"sec-websocket-protocol", b""),
    (b"sec-websocket-extensions", b"permessage-deflate"),
    (b"cookie", b"a=\xe4"),
    (b"user-agent", b"test"),
]


class ByParser(FramePathProtocol):
    """Leaves everything to the parsers of uvicorn and websockets.

    It feeds them byte by byte: with a violation in the same data, uvicorn discards the
    frames before it, and what is seen would depend on how the data was cut.
    """

    def take_handshake(self, target: bytes, headers: Headers) -> bool:
        return False

    def _read(self, data: bytes) -> None:
        for byte in data:
            if not self.transport.is_closing():
                WebSocketsSansIOProtocol.data_received(self, bytes([byte]))


class Wire(asyncio.Transport):
    """Keeps everything that a protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0  # its client reads everything at once

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


@dataclass
class Application:
    """Accepts a socket, takes some frames where they arrive, and keeps all others."""

    scope: dict[str, Any] = field(default_factory=dict)
    taken: list[tuple[bytes, bool]] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        scope["extensions"][FRAME_EXTENSION].take = self.take
        await receive()
        offered = scope["subprotocols"]
        headers = [(b"X-Test", b"yes")]
        accept = {"type": "websocket.accept", "headers": headers}
        await send(accept | {"subprotocol": offered[-1] if offered else None})
        while not self.events or self.events[-1]["type"] == "websocket.receive":
            self.events.append(await receive())

    def take(self, data: bytes, is_text: bool, _: bool) -> bool:
        self.taken.append((data, is_text))
        return len(data) % 2 == 0


@dataclass
class Connection:
    """One protocol object, its wire and its application."""

    kind: type[FramePathProtocol]
    application: Application = field(default_factory=Application)
    wire: Wire = field(default_factory=Wire)
    is_plain: bool = False

    async def open(self, headers: Headers = PLAIN, target: bytes = TARGET) -> None:
        """Send the handshake and wait until it is answered."""
        config = Config(self.application, ws_per_message_deflate=False, log_config=None)
        config.load()
        state = ServerState()
        state.default_headers = [(b"Server", b"test")]
        self.protocol = self.kind(config=config, server_state=state, app_state={})
        self.protocol.connection_made(self.wire)
        self.is_plain = self.protocol.take_handshake(target, headers)
        if not self.is_plain:
            rest = self.protocol.take_headers(headers)
            lines = (b"%b: %b\r\n" % header for header in rest)
            head = b"GET %b HTTP/1.1\r\n" % target
            self.protocol.data_received(head + b"".join(lines) + b"\r\n")
        await self.settle()

    async def settle(self) -> None:
        """Let the application run."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def close(self) -> None:
        """End the connection."""
        self.protocol.connection_lost(None)
        await self.settle()

    def seen(self) -> tuple[object, ...]:
        """Return everything that is visible of it from either side."""
        app = self.application
        scope = dict(app.scope)
        extensions = set(scope.pop("extensions", ()))
        written = re.sub(rb"Date: .*?\r\n", b"", self.wire.written)
        is_closed = self.wire.is_closed
        return scope, extensions, app.taken, app.events, written, is_closed


async def both(headers: Headers, target: bytes, *chunks: bytes) -> list[Connection]:
    """Send the same to a connection of either kind; return both."""
    connections = [Connection(FramePathProtocol), Connection(ByParser)]
    for connection in connections:
        await connection.open(headers, target)
        for chunk in chunks:
            if not connection.wire.is_closed:
                connection.protocol.data_received(chunk)
        await connection.settle()
        await connection.close()
    return connections


def frame(
    opcode: int, content: bytes, *, first: int = 0x80, is_masked: bool = True
) -> bytes:
    """Return a frame as a client should or should not write it."""
    size, mask = len(content), b"\1\2\3\4" if is_masked else b""
    long = size.to_bytes(2, "big") if size > 125 else b""
    head = bytes([first | opcode, (126 if long else size) | (0x80 if mask else 0)])
    return head + long + mask + (apply_mask(content, mask) if mask else content)


OPCODES = st.sampled_from(
    [Opcode.TEXT] * 4 + [Opcode.BINARY] * 4 + [Opcode.PING, Opcode.PONG, Opcode.CLOSE]
)
FRAMES = st.builds(
    frame,
    OPCODES,
    st.one_of(st.binary(max_size=12), st.binary(min_size=120, max_size=140)),
    first=st.sampled_from([0x80] * 12 + [0x00, 0xC0]),
    is_masked=st.sampled_from([True] * 20 + [False]),
)
INPUTS = st.lists(
    st.one_of(FRAMES, FRAMES, FRAMES, st.binary(max_size=6)), max_size=12
).map(b"".join)


@given(data=INPUTS, cuts=st.lists(st.integers(0, 600), max_size=8))
@example(data=frame(1, b"ab") + frame(2, b"c" * 126) + frame(1, b"d"), cuts=[1, 3, 20])
@example(data=frame(1, b"a", first=0) + frame(1, b"b"), cuts=[])
@example(data=frame(8, b"") + frame(1, b"after"), cuts=[])
@example(data=frame(1, b"\xff"), cuts=[])
@example(data=frame(1, b"a") + b"\x81\xfe\x00\x01\0\0\0\0b", cuts=[10])
@example(data=frame(2, b"x" * 3000) + frame(1, b"{}"), cuts=[2000])
def test_any_bytes_are_read_as_by_the_parser(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(data)})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    ours, theirs = asyncio.run(both(PLAIN, TARGET, *filter(None, chunks)))

    assert ours.is_plain
    if b"shortest form" in ours.wire.written:
        # websockets is lenient: https://www.rfc-editor.org/rfc/rfc6455#section-5.2.
        assert is_refused_by_a_strict_parser(data)
    else:
        assert ours.seen() == theirs.seen()


def is_refused_by_a_strict_parser(data: bytes) -> bool:
    server = StrictConnection(ConnectionType.SERVER)
    server.receive_data(data)
    try:
        return isinstance([*server.events()][-1], CloseConnection)
    except RemoteProtocolError:
        return True


def changed(headers: Iterable[tuple[bytes, bytes]], *, is_added: bool) -> Headers:
    """Return a plain handshake with headers replaced, or added to it."""
    names = set() if is_added else {name for name, _ in headers}
    return [header for header in PLAIN if header[0] not in names] + list(headers)


HEADERS = st.builds(
    changed,
    st.lists(st.sampled_from(SPOILT), max_size=2, unique_by=lambda header: header[0]),
    is_added=st.booleans(),
)
TARGETS = st.sampled_from([TARGET, b"/", b"/%E2%82%AC/?", b"//x", b"http://a/b?c?d"])


@given(headers=HEADERS, target=TARGETS)
def test_any_handshake_is_answered_as_by_the_parser(
    headers: Headers, target: bytes
) -> None:
    ours, theirs = asyncio.run(both(headers, target))

    assert ours.seen() == theirs.seen()


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection(FramePathProtocol)
    await connection.open()
    yield connection
    await connection.close()


async def test_a_small_frame_is_offered_without_the_parser(
    connection: Connection,
) -> None:
    connection.protocol.data_received(frame(1, b"ab"))

    assert connection.application.taken == [(b"ab", True)]
    assert connection.protocol.conn.events_received() == []


async def test_frames_read_from_their_bytes_count_against_the_budget(
    connection: Connection,
) -> None:
    budget = connection.application.scope["extensions"][INBOUND_EXTENSION]
    while budget.spend(frames=1):
        pass

    connection.protocol.data_received(frame(1, b"ab"))

    assert connection.application.taken == []
    assert connection.wire.is_closed
