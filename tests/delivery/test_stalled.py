"""A stalled reader on real servers: bounded, closed, and without effect on others."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from sync_streams.connections.close_codes import CloseCode
from tests.clients.json_socket import Frame, SiteSocket, json_socket
from tests.clients.wires import ABNORMAL, Closed
from tests.programs import PythonProgram, Stoppable, free_port
from tests.secrecy import MESSAGE
from tests.tables import put_tables

MESSAGES = 1_500
PAD = MESSAGE + "x" * 4_000
GROWTH_BYTES = 4_000_000
"""Far below the 6 MB that are published, far above what one connection may hold."""

SERVERS = {
    "daphne": ("daphne", "-p", "{port}"),
    "uvicorn": ("uvicorn", "--lifespan", "off", "--port", "{port}"),
    "frame-path": (
        *("uvicorn", "--lifespan", "off", "--port", "{port}"),
        *("--ws", "sync_streams.uvicorn:FramePathProtocol"),
        *("--ws-per-message-deflate", "false"),
    ),
}


class Server(Stoppable):
    """The test site, served by a separate program."""

    def __init__(self, name: str, environ: dict[str, str]) -> None:
        self.port = free_port()
        command = [part.format(port=self.port) for part in SERVERS[name]]
        self.program = PythonProgram(
            *("-m", *command, "tests.asgi:application"),
            ready="istening on TCP" if name == "daphne" else "running on",
            environ=environ,
        )

    def stop(self) -> None:
        """End the program."""
        self.program.stop()

    def connect(self, **options: Any) -> SiteSocket:
        """Connect and present a token."""
        return json_socket(self.port, **options)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of the servers; their database has its tables."""
    file = tmp_path_factory.mktemp("stalled") / "site.sqlite3"
    put_tables(file)
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.delivery.server_settings",
        "DATABASE_FILE": str(file),
    }


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, environ: dict[str, str]) -> Iterator[Server]:
    with Server(request.param, environ) as server:
        yield server


class Reader:
    """A healthy reader, and a publisher that sends no more than it can read."""

    def __init__(self, socket: SiteSocket) -> None:
        self._socket = socket
        self.numbers: list[int] = []
        """The numbers of the Messages that arrived."""
        self._arrived = asyncio.Event()

    async def read_all(self) -> None:
        """Read until the last Message."""
        while MESSAGES - 1 not in self.numbers[-1:]:
            frame = await self._socket.receive()
            if frame["type"] == "message":
                self.numbers.append(frame["message"]["data"]["n"])
                self._arrived.set()

    async def flood(self, publisher: SiteSocket) -> None:
        """Publish as fast as this reader reads, fifty at a time."""
        for first in range(0, MESSAGES, 50):
            for number in range(first, first + 50):
                data = {"n": number, "pad": PAD}
                await publisher.request("publish", stream="news", data=data)
            for _ in range(50):
                assert (await publisher.receive())["type"] == "published"
            while not self.numbers or self.numbers[-1] < first + 49:
                self._arrived.clear()
                await self._arrived.wait()


def small_buffer(port: int) -> socket.socket:
    """Return a connected socket with small buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


class Trickle:
    """A connection to the server that can be throttled to bytes per second."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.is_narrow = False
        self.ended = asyncio.Event()
        """Set when the server has ended the connection."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[socket.socket]:
        """Listen, and yield a socket that is connected through here."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with listener:
            sock = socket.socket()
            await asyncio.to_thread(sock.connect, listener.sockets[0].getsockname())
            sock.setblocking(False)
            yield sock

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inbound, outbound = await asyncio.open_connection(
            sock=small_buffer(self._server_port), limit=1024
        )
        upstream = asyncio.create_task(self._copy(reader, outbound))
        with suppress(ConnectionError):
            await self._copy(inbound, writer)
        upstream.cancel()
        outbound.close()
        writer.close()
        self.ended.set()

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(1 if self.is_narrow else 4096):
            target.write(data)
            if self.is_narrow:
                await asyncio.sleep(0.05)


async def read_to_the_end(socket: SiteSocket) -> tuple[list[Frame], int]:
    """Read on until the server's close, answering nothing; return the close code."""
    frames = []
    try:
        while True:
            frames.append(json.loads(await socket.wire.receive()))
    except Closed as closed:
        return frames, closed.code


async def test_a_stalled_reader_is_ended_and_costs_the_others_nothing(
    server: Server,
) -> None:
    async with (
        asyncio.timeout(40),
        server.connect() as publisher,
        server.connect() as healthy,
        server.connect(sock=small_buffer(server.port), max_queue=1) as stalled,
    ):
        for client in (healthy, stalled):
            subscription = {"stream": "news", "mode": "open_or_create"}
            await client.ask("subscribe", **subscription)
        before = server.program.memory_bytes

        reader = Reader(healthy)
        await asyncio.gather(reader.read_all(), reader.flood(publisher))
        grown = server.program.memory_bytes - before
        await asyncio.sleep(2)  # nothing is sent to the stalled one
        frames, code = await read_to_the_end(stalled)

    assert reader.numbers == list(range(MESSAGES))
    assert grown < GROWTH_BYTES
    received = [frame for frame in frames if frame["type"] == "message"]
    assert len(received) < MESSAGES / 2
    # Daphne gives a closing peer one second and then drops unread data.
    assert code in {CloseCode.TOO_SLOW, ABNORMAL}
    assert code == ABNORMAL or frames[-1]["type"] == "closing"


async def test_a_reader_of_a_few_bytes_a_second_is_ended_too(server: Server) -> None:
    way = Trickle(server.port)
    async with (
        asyncio.timeout(40),
        server.connect() as publisher,
        server.connect() as healthy,
        way.open() as sock,
        server.connect(sock=sock) as trickling,
    ):
        for client in (healthy, trickling):
            subscription = {"stream": "news", "mode": "open_or_create"}
            await client.ask("subscribe", **subscription)
        before = server.program.memory_bytes

        way.is_narrow = True
        reader = Reader(healthy)
        await asyncio.gather(reader.read_all(), reader.flood(publisher))
        grown = server.program.memory_bytes - before
        with suppress(Closed):
            while not way.ended.is_set():  # a client that only reads may notice it late
                await trickling.send({"type": "ping"})
                await asyncio.sleep(0.2)

    assert reader.numbers == list(range(MESSAGES))
    assert grown < GROWTH_BYTES
