"""Connections on which a test sends every byte: HTTP/1.1 and WebSocket frames."""

import asyncio
import json
import re
from collections.abc import Awaitable, Sequence
from typing import Any, Self

WAIT_SECONDS = 30

HANDSHAKE = [
    *("GET /v1/websocket HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket"),
    *("Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def head(lines: Sequence[str], *more: str) -> bytes:
    """Return a request's head."""
    return "\r\n".join([*lines, *more, "", ""]).encode()


def frame(opcode: int, data: bytes = b"", *, is_final: bool = True) -> bytes:
    """Return a client's frame, masked with zeros: RFC 6455, section 5.2."""
    size = len(data)
    length = bytes([0x80 | min(size, 126)]) + (
        size.to_bytes(2, "big") if size > 125 else b""
    )
    if size > 65_535:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([opcode | is_final << 7]) + length + bytes(4) + data


def text(**fields: object) -> bytes:
    """Return a text frame that holds JSON."""
    return frame(1, json.dumps(fields).encode())


async def turns() -> None:
    """Let a server on this event loop read the written data."""
    for _ in range(10):
        await asyncio.sleep(0)


class RawConnection:
    """A connection to a port of this machine; ``async with`` opens and aborts it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        streams = await asyncio.open_connection("127.0.0.1", self._port)
        self.reader, self.writer = streams
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Write bytes without waiting."""
        self.writer.write(data)

    async def until(self, mark: bytes) -> bytes:
        """Read up to and including a mark, and return that data."""
        return await asyncio.wait_for(self.reader.readuntil(mark), WAIT_SECONDS)

    async def end(self) -> bytes:
        """Return everything until the server ends the connection."""
        return await asyncio.wait_for(self.reader.read(), WAIT_SECONDS)

    async def pour(self, data: bytes) -> None:
        """Send the same bytes repeatedly until the server ends the connection."""
        reading: Awaitable[Any] = asyncio.ensure_future(self.reader.read(-1))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    self.send(data)
                    await self.writer.drain()
        except ConnectionError:
            await asyncio.gather(reading, return_exceptions=True)


class HttpConnection(RawConnection):
    """A connection that speaks HTTP/1.1."""

    def request(self, *lines: str, method: str = "GET", target: str = "/") -> None:
        """Send a request's head with these headers."""
        self.send(head([f"{method} {target} HTTP/1.1", "Host: x", *lines]))

    async def ask(self, *pieces: bytes) -> bytes:
        """Send a request in pieces that the server reads separately."""
        for piece in pieces:
            self.send(piece)
            await self.writer.drain()
            await turns()
        return await self.response()

    async def response(self) -> bytes:
        """Return the next response, its head and its body; ``100`` is skipped."""
        start = await self.until(b"\r\n\r\n")
        if b" 100 " in start:
            start = await self.until(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: (\d+)", start)
        body = self.reader.readexactly(int(size[1]) if size else 0)
        return start + await asyncio.wait_for(body, WAIT_SECONDS)

    async def answer(self) -> tuple[int, bytes]:
        """Return the status and the body of the next response."""
        start, _, body = (await self.response()).partition(b"\r\n\r\n")
        return int(start[9:12]), body

    async def refusal(self) -> int:
        """Return the status of a response that ends the connection."""
        status, body = await self.answer()
        assert json.loads(body)["status"] == status
        assert await self.end() == b""
        return status


class RawSocket(RawConnection):
    """A WebSocket, opened and connected with a token if there is one."""

    def __init__(self, port: int, *more: str, token: str = "") -> None:
        """Open a socket later; *more* are lines of its handshake."""
        super().__init__(port)
        self._more, self._token = more, token

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            self.send(head(HANDSHAKE, *self._more))
            await self.until(b"\r\n\r\n")
            if self._token:
                self.send(text(type="connect", id=1, token=self._token))
                await self.until(b'"connected"')
        except BaseException:
            self.writer.transport.abort()
            raise
        return self

    async def is_open(self) -> bool:
        """Return whether the server still answers, after everything sent before."""
        try:
            self.send(frame(9, b"there?"))
            await self.until(b"there?")
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        return True
