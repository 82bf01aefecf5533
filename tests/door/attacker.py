"""An attacker's connections, requests and frames, and its report."""

import asyncio
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.clients.raw import HANDSHAKE, head, text

HERE = "127.0.0.2", 0
END_SECONDS = 15
"""Time within which the server must end an attacker's connection."""

CHUNK = b"x" * 65_536


@dataclass
class Report:
    """What an attack did, and the result."""

    port: int
    seconds: float
    token: str = ""
    inputs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """How its connections ended: a status, a close code, ``closed``, or ``open``."""

    longest: float = 0
    """Seconds from the last byte sent to the end, of the longest to last."""

    @property
    def is_time(self) -> bool:
        return time.monotonic() < self._until

    def share(self, count: int) -> int:
        """Return a number scaled to the attack's duration; from 2 s on, all of it."""
        return max(1, round(count * min(1, self.seconds / 2)))

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds


POST = [
    *("POST /v1/Services/default/Streams/demo/Messages HTTP/1.1", "Host: 127.0.0.1"),
    f"Authorization: Basic {b64encode(b'AC:nobody').decode()}",
    "Content-Type: application/x-www-form-urlencoded",
]
GET = ["GET /v1/Services HTTP/1.1", "Host: 127.0.0.1"]
PAGE = ["GET /admin/login/ HTTP/1.1", "Host: 127.0.0.1"]
STREAM = "/v1/Services/default/Streams/demo"
EVENTS = [
    *(f"GET {STREAM}/Events HTTP/1.1", "Host: 127.0.0.1"),
    *("Accept: text/event-stream", "Authorization: Bearer a.b.c"),
]
PREFLIGHT = [
    *(f"OPTIONS {STREAM}/Messages HTTP/1.1", "Host: 127.0.0.1"),
    *("Origin: https://app.example", "Access-Control-Request-Method: POST"),
]
CLOSE = "Connection: close"


class Connection(asyncio.Protocol):
    """A connection that keeps reading responses and remembers the last one."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.last = b""
        self.status = ""
        self.ended = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._came = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.last = (self.last + data)[-1000:]
        head = data.rfind(b"HTTP/1.1 ")
        if head >= 0:
            self.status = data[head + 9 : head + 12].decode()
        self._came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for event in (self.ended, self._writable, self._came):
            event.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Send once there is room."""
        await self._writable.wait()
        if not self.transport.is_closing():
            self.transport.write(data)

    async def until(self, mark: bytes) -> None:
        """Wait for a response or the end."""
        while mark not in self.last and not self.ended.is_set():
            self._came.clear()
            await self._came.wait()


@asynccontextmanager
async def connection(report: Report) -> AsyncIterator[Connection]:
    """Open a connection; in the end, record how the server ends it."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        Connection, "127.0.0.1", report.port, local_addr=HERE
    )
    try:
        yield client
        began = time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(client.ended.wait(), END_SECONDS)
        report.longest = max(report.longest, time.monotonic() - began)
        report.ends[_end(client) if client.ended.is_set() else "open"] += 1
    finally:
        if not client.ended.is_set():
            client.transport.abort()


@asynccontextmanager
async def websocket(report: Report, *, token: str = "") -> AsyncIterator[Connection]:
    """Open a WebSocket, and connect if there is a token."""
    async with connection(report) as client:
        await client.send(head(HANDSHAKE))
        await client.until(b"\r\n\r\n")
        if token:
            await client.send(text(type="connect", id=1, token=token))
            await client.until(b"connected")
        yield client


def _end(client: Connection) -> str:
    """Return how a connection ended, from its last data."""
    if client.status not in {"", "101"}:
        return client.status
    last = client.last
    close = last.rfind(b"\x88")
    if close >= 0 and len(last) >= close + 4:
        return str(int.from_bytes(last[close + 2 : close + 4], "big"))
    return "closed"


async def pour(report: Report, client: Connection, data: bytes, many: int = 1) -> None:
    """Send *data* repeatedly until the time is up or the server ends the connection."""
    if not report.is_time:
        client.transport.abort()  # it would only wait for the token's deadline
    while report.is_time and not client.ended.is_set():
        await client.send(data)
        report.inputs += many
        await asyncio.sleep(0)
