"""Attacks on a server of this machine, bounded in count and seconds; a program.

``python -m tests.door.attacks NAME PORT SECONDS [TOKEN]`` prints, as JSON, what it sent
and how its connections ended. It comes from 127.0.0.2, so that it and the healthy
client are two addresses to the server.
"""

import asyncio
import json
import os
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.clients.raw import HANDSHAKE, frame, head, text

HERE = "127.0.0.2", 0
END_SECONDS = 15
"""Time that an attacker's connection has to be ended; the server's bounds are below."""

CHUNK = b"x" * 65_536


@dataclass
class Report:
    """What an attack did and what became of it."""

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

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds


Attack = Callable[[Report], Coroutine[Any, Any, None]]

POST = [
    *("POST /v1/Services/default/Streams/demo/Messages HTTP/1.1", "Host: 127.0.0.1"),
    f"Authorization: Basic {b64encode(b'AC:nobody').decode()}",
    "Content-Type: application/x-www-form-urlencoded",
]
GET = ["GET /v1/Services HTTP/1.1", "Host: 127.0.0.1"]


class Connection(asyncio.Protocol):
    """A connection whose answers are read all the time; the last of them is kept."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.last = b""
        self.ended = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._came = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.last = (self.last + data)[-1000:]
        self._came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for event in (self.ended, self._writable, self._came):
            event.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Send when there is room."""
        await self._writable.wait()
        if not self.transport.is_closing():
            self.transport.write(data)

    async def until(self, mark: bytes) -> None:
        """Wait for an answer, or the end."""
        while mark not in self.last and not self.ended.is_set():
            self._came.clear()
            await self._came.wait()


@asynccontextmanager
async def connection(report: Report) -> AsyncIterator[Connection]:
    """Open a connection; look how it ends when all was said."""
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
        report.ends[_end(client.last) if client.ended.is_set() else "open"] += 1
    finally:
        if not client.ended.is_set():
            client.transport.abort()


@asynccontextmanager
async def websocket(report: Report, *, token: str = "") -> AsyncIterator[Connection]:
    """Open a WebSocket, and say who it is if there is a token."""
    async with connection(report) as client:
        await client.send(head(HANDSHAKE))
        await client.until(b"\r\n\r\n")
        if token:
            await client.send(text(type="connect", id=1, token=token))
            await client.until(b"connected")
        yield client


def _end(last: bytes) -> str:
    """Say how a connection ended, by the last that came."""
    status = last.rfind(b"HTTP/1.1 ")
    if status >= 0 and not last[status:].startswith(b"HTTP/1.1 101"):
        return last[status + 9 : status + 12].decode()
    close = last.rfind(b"\x88")
    if close >= 0 and len(last) >= close + 4:
        return str(int.from_bytes(last[close + 2 : close + 4], "big"))
    return "closed"


async def pour(report: Report, client: Connection, data: bytes, many: int = 1) -> None:
    """Send *data* over and over until the time is over or the server ends it."""
    while report.is_time and not client.ended.is_set():
        await client.send(data)
        report.inputs += many
        await asyncio.sleep(0)


async def pings(report: Report) -> None:
    """Empty pings, without a token."""
    while report.is_time:
        async with websocket(report) as client:
            await pour(report, client, frame(9) * 500, 500)


async def unread_pings(report: Report) -> None:
    """Long pings, as many as may be, from clients that read nothing."""

    async def one() -> None:
        async with websocket(report, token=report.token) as client:
            client.transport.pause_reading()
            while report.is_time and not client.transport.is_closing():
                client.transport.write(frame(9, b"x" * 125) * 50)
                report.inputs += 50
                await asyncio.sleep(0.1)
            client.transport.abort()

    await asyncio.gather(*(one() for _ in range(30)))


async def pings_of_a_client(report: Report) -> None:
    """Empty pings, from one whose token is good."""
    while report.is_time:
        async with websocket(report, token=report.token) as client:
            await pour(report, client, frame(9) * 500, 500)
            client.transport.abort()


async def fragments(report: Report) -> None:
    """Fragments of one byte."""
    while report.is_time:
        async with websocket(report, token=report.token) as client:
            await client.send(frame(1, b"x", is_final=False))
            await pour(report, client, frame(0, b"x", is_final=False) * 500, 500)
            client.transport.abort()


async def frames_of_nobody(report: Report) -> None:
    """Frames of 64 KiB, without a token, on 16 sockets."""

    async def one() -> None:
        while report.is_time:
            async with websocket(report) as client:
                await pour(report, client, frame(1, CHUNK[:65_000]))

    await asyncio.gather(*(one() for _ in range(16)))


async def frames_in_parts(report: Report) -> None:
    """The beginning of a frame of 60 KB, without a token, on 500 sockets."""

    async def one() -> None:
        async with websocket(report) as client:
            await client.send(frame(1, CHUNK[:60_000])[:-1])
            report.inputs += 1

    await asyncio.gather(*(one() for _ in range(500)))


async def junk_tokens(report: Report) -> None:
    """Sockets that show a token again and again that is none."""

    async def one() -> None:
        while report.is_time:
            async with websocket(report) as client:
                await pour(report, client, text(type="connect", id=1, token="junk"))

    await asyncio.gather(*(one() for _ in range(6)))


async def request_line(report: Report) -> None:
    """A request line that does not end."""
    while report.is_time:
        async with connection(report) as client:
            await client.send(b"GET /")
            await pour(report, client, CHUNK)


async def headers(report: Report) -> None:
    """Headers without end."""
    while report.is_time:
        async with connection(report) as client:
            await client.send("\r\n".join([*GET, ""]).encode())
            await pour(report, client, b"x: " + CHUNK[:8000] + b"\r\n")


async def chunk_extensions(report: Report) -> None:
    """The extension of a chunk that does not end."""
    while report.is_time:
        async with connection(report) as client:
            await client.send(head(POST, "Transfer-Encoding: chunked") + b"1;x=")
            await pour(report, client, CHUNK)


async def large_posts(report: Report) -> None:
    """Bodies of 2.4 MB, 300 at once, announced and not."""

    async def one(number: int) -> None:
        async with connection(report) as client:
            if number % 2:
                await client.send(head(POST, "Content-Length: 2400000"))
                body = CHUNK
            else:
                await client.send(head(POST, "Transfer-Encoding: chunked"))
                body = b"10000\r\n" + CHUNK + b"\r\n"
            for _ in range(37):
                await client.send(body)
                report.inputs += 1

    await asyncio.gather(*(one(number) for number in range(300)))


async def half_sent(report: Report) -> None:
    """Requests and a handshake that are never finished, each a byte a second."""

    async def one(begin: bytes) -> None:
        async with connection(report) as client:
            await client.send(begin)
            for _ in range(END_SECONDS):
                await asyncio.sleep(1)
                if client.ended.is_set():
                    break
                await client.send(b"1")
                report.inputs += 1

    await asyncio.gather(
        *map(
            one,
            [
                b"GET /",
                head(GET)[:-4],
                head(GET)[:-4] + b"\r\nX-",
                head(POST, "Content-Length: 100"),
                head(POST, "Transfer-Encoding: chunked"),
                head(POST, "Transfer-Encoding: chunked") + b"40\r\n",
                head(HANDSHAKE)[:-4],
            ],
        )
    )


async def silent(report: Report) -> None:
    """Connections that say nothing."""

    async def one() -> None:
        with suppress(OSError):
            async with connection(report):
                report.inputs += 1

    await asyncio.gather(*(one() for _ in range(2000)))


async def posts(report: Report) -> None:
    """1,500 POSTs at once, again and again."""

    async def one() -> None:
        while report.is_time:
            async with connection(report) as client:
                body = b"Data=%7B%7D"
                length = f"Content-Length: {len(body)}"
                await client.send(head(POST, length, "Connection: close") + body)
                report.inputs += 1

    await asyncio.gather(*(one() for _ in range(1500)))


async def pipelined(report: Report) -> None:
    """Requests on one connection, faster than anybody could answer."""
    async with connection(report) as client:
        with suppress(TimeoutError):
            pouring = pour(report, client, head(GET) * 500, 500)
            await asyncio.wait_for(pouring, report.seconds)
        client.transport.abort()


async def empty_lines(report: Report) -> None:
    """Empty lines before a request that never comes."""
    async with connection(report) as client:
        for _ in range(END_SECONDS):
            await client.send(b"\r\n")
            report.inputs += 1
            await asyncio.sleep(1)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        *(
            pings,
            unread_pings,
            pings_of_a_client,
            fragments,
            frames_of_nobody,
            frames_in_parts,
        ),
        *(junk_tokens, request_line, headers, chunk_extensions, large_posts),
        *(half_sent, silent, posts, pipelined, empty_lines),
    )
}


def main(name: str, port: str, seconds: str, token: str = "") -> None:
    """Run an attack and print its report."""
    report = Report(int(port), float(seconds), token)
    asyncio.run(ATTACKS[name](report))
    found = {"inputs": report.inputs, "ends": report.ends, "longest": report.longest}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    os.nice(5)
    main(*sys.argv[1:])
