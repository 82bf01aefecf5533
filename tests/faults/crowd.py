"""A thousand JSON socket clients, as cheap as possible, that connect all at once."""

import asyncio
import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from tests.faults.worker import ACCOUNT

KEY = b64encode(bytes(16)).decode()
HANDSHAKE = (
    "GET /v1/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()


TURNED_AWAY_SECONDS = 1


class Crowd:
    """Clients that reconnect when asked to, until each is connected."""

    def __init__(self, base_url: str, size: int) -> None:
        self.port = int(urlsplit(base_url).port or 0)
        self.size = size
        self.first = _masked(
            {"type": "connect", "id": 1, "token": ACCOUNT.token("many")}
        )
        self.everybody = asyncio.Event()
        self.somebody_refused = asyncio.Event()
        self.connected = 0
        self.refused = 0
        """How often a client received 20429 and a time to reconnect."""
        self.turned_away = 0
        """How often a client received an error instead of a handshake."""
        self.cut = 0
        """How often a connection ended without notice."""
        self.pauses: list[float] = []
        self._members = [Member(self) for _ in range(size)]

    async def come(self) -> None:
        """Connect all clients at once."""
        for member in self._members:
            member.come()
        await self.everybody.wait()

    async def until_connected(self, count: int) -> None:
        """Wait until that many clients are, or have been, connected."""
        while self.connected < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        """Break all connections."""
        for member in self._members:
            member.leave()


class Member(asyncio.Protocol):
    """One client."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[Any] | None = None
        self._buffer = b""
        self._is_open = self._is_refused = self._has_left = False
        self._pause: float | None = None
        """How long the server asked to wait, once it did."""

    def come(self) -> None:
        """Connect."""
        if self._has_left:
            return
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(lambda: self, "127.0.0.1", self._crowd.port)
        self._opening = loop.create_task(opening)

    def leave(self) -> None:
        """Break the connection."""
        self._has_left = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._has_left:
            transport.abort()
            return
        self._buffer, self._pause = b"", None
        self._is_open = self._is_refused = False
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        if not self._is_open and b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._is_open = head.startswith(b"HTTP/1.1 101")
            if not self._is_open:
                self._crowd.turned_away += 1
                self._pause = TURNED_AWAY_SECONDS
                self._transport.close()
                return
            self._transport.write(self._crowd.first)
        while self._is_open and (frame := self._next()):
            self._take(json.loads(frame))

    def connection_lost(self, error: Exception | None) -> None:
        if self._has_left:
            return
        if self._pause is None:
            self._crowd.cut += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._pause or 0, self.come)

    def _next(self) -> bytes:
        """Take the next text frame off the buffer, RFC 6455, section 5.2."""
        if len(self._buffer) < 4:
            return b""
        size, start = self._buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(self._buffer[2:4], "big"), 4
        if len(self._buffer) < start + size or self._buffer[0] != 0x81:
            return b""
        frame = self._buffer[start : start + size]
        self._buffer = self._buffer[start + size :]
        return frame

    def _take(self, frame: dict[str, Any]) -> None:
        crowd = self._crowd
        if frame["type"] == "connected":
            crowd.connected += 1
            if crowd.connected == crowd.size:
                crowd.everybody.set()
        elif frame["type"] == "error":
            self._is_refused = frame["code"] == 20429
        elif frame["type"] == "closing":
            crowd.refused += self._is_refused
            crowd.somebody_refused.set()
            self._pause = frame["reconnect_after"]
            crowd.pauses.append(frame["reconnect_after"])
            assert self._transport is not None
            self._transport.close()


def _masked(frame: object) -> bytes:
    text = json.dumps(frame).encode()
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
