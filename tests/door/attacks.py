"""Attacks on a server of this machine, bounded in count and seconds; a program.

``python -m tests.door.attacks PORT SECONDS TOKEN NAME …`` prints, as JSON, what each
sent and how its connections ended. It comes from 127.0.0.2, so that it and the healthy
client are two addresses to the server.
"""

import asyncio
import json
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from itertools import cycle
from typing import Any

from tests.clients.raw import HANDSHAKE, frame, head, text
from tests.door.attacker import (
    CHUNK,
    CLOSE,
    END_SECONDS,
    EVENTS,
    GET,
    HERE,
    PAGE,
    POST,
    PREFLIGHT,
    Report,
    connection,
    pour,
    websocket,
)

Attack = Callable[[Report], Coroutine[Any, Any, None]]

RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` that makes closing send RST, regardless of unread or unsent data."""


async def pings(report: Report) -> None:
    """Empty pings, without a token."""
    while report.is_time:
        async with websocket(report) as client:
            await pour(report, client, frame(9) * 500, 500)


async def unread_pings(report: Report) -> None:
    """Long pings at the permitted rate, from clients that read nothing."""

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
    """Empty pings, from a client with a valid token."""
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

    await asyncio.gather(*(one() for _ in range(report.share(500))))


async def junk_tokens(report: Report) -> None:
    """Sockets that send an invalid token again and again."""

    async def one() -> None:
        while report.is_time:
            async with websocket(report) as client:
                await pour(report, client, text(type="connect", id=1, token="junk"))

    await asyncio.gather(*(one() for _ in range(6)))


async def request_line(report: Report) -> None:
    """An endless request line."""
    while report.is_time:
        async with connection(report) as client:
            await client.send(b"GET /")
            await pour(report, client, CHUNK)


async def headers(report: Report) -> None:
    """Endless headers."""
    while report.is_time:
        async with connection(report) as client:
            await client.send("\r\n".join([*GET, ""]).encode())
            await pour(report, client, b"x: " + CHUNK[:8000] + b"\r\n")


async def chunk_extensions(report: Report) -> None:
    """An endless chunk extension."""
    while report.is_time:
        async with connection(report) as client:
            await client.send(head(POST, "Transfer-Encoding: chunked") + b"1;x=")
            await pour(report, client, CHUNK)


async def large_posts(report: Report) -> None:
    """Bodies of 2.4 MB, 300 at once, with and without Content-Length."""

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

    await asyncio.gather(*(one(number) for number in range(report.share(300))))


async def half_sent(report: Report) -> None:
    """Requests and a handshake that never end, sent a byte a second."""

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
    """Connections that send nothing."""

    async def one() -> None:
        with suppress(OSError):
            async with connection(report):
                report.inputs += 1

    await asyncio.gather(*(one() for _ in range(report.share(2000))))


async def crowd(report: Report, *requests: bytes, size: int = 1500) -> None:
    """Send each request on a connection of its own, many at once, again and again."""
    coming = cycle(requests)

    async def one() -> None:
        while report.is_time:
            async with connection(report) as client:
                await client.send(next(coming))
                report.inputs += 1

    await asyncio.gather(*(one() for _ in range(report.share(size))))


def post(body: bytes, *more: str) -> bytes:
    """Return a request with a body."""
    return head(POST, f"Content-Length: {len(body)}", CLOSE, *more) + body


async def posts(report: Report) -> None:
    """1,500 POSTs at once, again and again."""
    await crowd(report, post(b"Data=%7B%7D"))


async def gets(report: Report) -> None:
    """1,500 GETs at once, again and again."""
    await crowd(report, head(GET, CLOSE))


async def event_streams(report: Report) -> None:
    """1,500 event streams at once, with an invalid token, again and again."""
    await crowd(report, head(EVENTS, CLOSE))


async def preflights(report: Report) -> None:
    """1,500 CORS preflights at once, again and again."""
    await crowd(report, head(PREFLIGHT, CLOSE))


async def costly_heads(report: Report) -> None:
    """60 KB of query, of cookies or of headers, on 100 connections."""
    query = "&".join(f"a{number}=%C3%A4" for number in range(4000))
    cookies = "; ".join(f"a{number}=b" for number in range(4500))
    headers = [f"X-{number}: {'y' * 200}" for number in range(250)]
    requests = [
        head([PAGE[0].replace(" HTTP", f"?{query} HTTP"), *PAGE[1:]], CLOSE),
        head(PAGE, CLOSE, f"Cookie: {cookies}"),
        head(PAGE, CLOSE, *headers),
    ]
    await crowd(report, *requests, size=100)


async def costly_bodies(report: Report) -> None:
    """Compressed bodies of 50 MB and JSON 100,000 levels deep, on 100 connections."""
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    deep = b'{"Data":' + b"[" * 100_000
    requests = [
        post(bomb, "Content-Encoding: gzip"),
        post(deep, "Content-Type: application/json"),
    ]
    await crowd(report, *requests, size=100)


async def deep_frames(report: Report) -> None:
    """Frames of JSON 30,000 levels deep, without a token, on 16 sockets."""

    async def one() -> None:
        while report.is_time:
            async with websocket(report) as client:
                await pour(report, client, frame(1, b"[" * 30_000))

    await asyncio.gather(*(one() for _ in range(16)))


async def oddities(report: Report) -> None:
    """HTTP/2, TRACE, ranges, expectations and garbage, on 100 connections."""
    requests = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        head(["TRACE / HTTP/1.1", "Host: 127.0.0.1"], CLOSE),
        head(["OPTIONS * HTTP/1.1", "Host: 127.0.0.1"], CLOSE),
        head(PAGE, CLOSE, "Range: bytes=" + ",".join(["0-"] * 9000)),
        head(POST, CLOSE, "Content-Length: 5", "Expect: 100-continue") + b"Data=",
        head(POST, CLOSE, "Content-Length: 5", "Transfer-Encoding: chunked"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
    ]
    await crowd(report, *requests, size=100)


async def leaving(report: Report) -> None:
    """Clients that leave at once, most of them after a request."""
    loop = asyncio.get_running_loop()
    coming = cycle([b"", head(GET), post(b"Data=%7B%7D"), head(HANDSHAKE)])

    async def one() -> None:
        while report.is_time:
            with socket.socket() as client:
                client.setblocking(False)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.bind(HERE)
                await loop.sock_connect(client, ("127.0.0.1", report.port))
                await loop.sock_sendall(client, next(coming))
            report.inputs += 1
            report.ends["left"] += 1

    await asyncio.gather(*(one() for _ in range(report.share(100))))


async def half_closed(report: Report) -> None:
    """500 clients that close their sending side, some within a request."""
    coming = cycle([b"", head(GET), head(GET)[:-4], head(HANDSHAKE)])

    async def one() -> None:
        async with connection(report) as client:
            await client.send(next(coming))
            report.inputs += 1
            client.transport.write_eof()

    await asyncio.gather(*(one() for _ in range(report.share(500))))


async def closing(report: Report) -> None:
    """500 sockets that send a close frame and stay open."""

    async def one() -> None:
        async with websocket(report) as client:
            await client.send(frame(8, b"\x03\xe8"))
            report.inputs += 1

    await asyncio.gather(*(one() for _ in range(report.share(500))))


async def unread(report: Report) -> None:
    """As many pages as possible, for 100 clients that read nothing."""

    async def one() -> None:
        async with connection(report) as client:
            client.transport.pause_reading()
            with suppress(TimeoutError):
                pouring = pour(report, client, head(PAGE) * 10, 10)
                await asyncio.wait_for(pouring, report.seconds)
            client.transport.abort()

    await asyncio.gather(*(one() for _ in range(report.share(100))))


async def pipelined(report: Report) -> None:
    """Pipelined requests, faster than they can be answered."""
    async with connection(report) as client:
        with suppress(TimeoutError):
            pouring = pour(report, client, head(GET) * 500, 500)
            await asyncio.wait_for(pouring, report.seconds)
        client.transport.abort()


async def empty_lines(report: Report) -> None:
    """Empty lines before a request that never comes."""
    async with connection(report) as client:
        for _ in range(END_SECONDS):
            if client.ended.is_set():
                break
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
        *(half_sent, silent, posts, gets, event_streams, preflights, pipelined),
        *(empty_lines, costly_heads, costly_bodies, deep_frames, oddities, leaving),
        *(half_closed, closing, unread),
    )
}


def title(name: str) -> str:
    """Return the title of an attack."""
    return (ATTACKS[name].__doc__ or "").rstrip(".")


WAITING = {half_sent, silent, empty_lines, frames_in_parts, closing}
"""Attacks that wait for a time limit of the server, so several run at a time."""


async def run(names: list[str], port: int, seconds: float, token: str) -> None:
    """Run attacks, the waiting ones at the same time, and print their reports."""
    reports: dict[str, Report] = {}

    async def one_after_another(names: Iterable[str]) -> None:
        for name in names:
            reports[name] = Report(port, seconds, token)
            await ATTACKS[name](reports[name])

    waiting = [name for name in names if ATTACKS[name] in WAITING]
    others = [name for name in names if name not in waiting]
    lines = [*([name] for name in waiting), others]
    await asyncio.gather(*map(one_after_another, lines))
    found = {
        name: {"inputs": report.inputs, "ends": report.ends, "longest": report.longest}
        for name, report in reports.items()
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    os.nice(5)
    port, seconds, token, *names = sys.argv[1:]
    asyncio.run(run(names, int(port), float(seconds), token))
