"""Readers that stop or are slow: their losses, their gaps, and the other readers."""

import asyncio
import json
import re
import socket
from contextlib import AsyncExitStack

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler

from sync_streams import operations
from sync_streams.connections.registry import connections
from sync_streams.publishing import apublish
from tests.clients.accounts import ACCOUNT
from tests.clients.raw import head
from tests.clients.sse import WAIT_SECONDS
from tests.overrides import sync_settings
from tests.proxy import Proxy
from tests.settings import ACCOUNT_SID
from tests.sse.conftest import CLASSES
from tests.uvicorn_server import serving

READERS = 199
BUFFER_BYTES = 65_536
SLOW_BYTES_PER_SECOND, QUICK_BYTES_PER_SECOND = 5_000, 50_000_000
BURST = 8
"""Messages after which the test waits for the other readers."""

PAD = "x" * 3_800
FEW = 40
"""Messages that the stalled reader must have lost before it reads again."""

MOST = 2_000
NUMBER = re.compile(rb'"n":(\d+)')
LOST = re.compile(rb"event: gap\ndata: (.*)\n")


class Reader:
    """A client that keeps the received bytes."""

    def __init__(self, port: int, *, buffer: int = 0) -> None:
        self._port, self._buffer = port, buffer
        self.text = b""

    async def open(self, stack: AsyncExitStack, *more: str, body: bytes = b"") -> None:
        """Connect, ask for events, and read the beginning of the response.

        Args:
            stack: closes the connection.
            more: headers of the request.
            body: what is sent together with its head.
        """
        connection = socket.create_connection(("127.0.0.1", self._port))
        if self._buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        limit = self._buffer or 2**16
        self._reader, writer = await asyncio.open_connection(
            sock=connection, limit=limit
        )
        stack.callback(writer.close)
        path = "/v1/Services/default/Streams/board/Events"
        login = f"Authorization: {ACCOUNT.basic}"
        writer.write(head([f"GET {path} HTTP/1.1", "Host: x", login], *more) + body)
        await self._reader.readuntil(b"retry:")

    async def read_until(self, text: bytes) -> None:
        """Read until a text has been received."""
        while text not in self.text[-10_000:]:
            self.text += await self._reader.read(2**16)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the Messages received."""
        return [int(number) for number in NUMBER.findall(self.text)]

    @property
    def lost(self) -> int:
        """The Messages reported by gaps."""
        return sum(json.loads(data)["dropped"] for data in LOST.findall(self.text))


def dropped() -> int:
    return sum(connection.outbox.dropped for connection in connections)


@pytest.fixture
async def board(transactional_db: None) -> None:
    """Create the Stream ``board``."""
    find = sync_to_async(operations.get_service)
    create = sync_to_async(operations.create_stream)
    await create(await find(ACCOUNT_SID, "default"), unique_name="board")


async def publish_until_dropped() -> int:
    """Publish until a reader loses Messages; return how many were published."""
    for count in range(MOST):
        if dropped() >= FEW:
            return count
        await apublish("board", {"n": count, "pad": PAD})
        await asyncio.sleep(0)
    raise AssertionError("no Message was dropped")


async def test_a_reader_at_5_kb_a_second_stays_and_receives_its_gaps(
    board: None,
) -> None:
    serve = serving(ASGIHandler(), http=CLASSES["past-asgi"], send_buffer=BUFFER_BYTES)
    async with (
        serve as port,
        Proxy(port, bytes_per_second=SLOW_BYTES_PER_SECOND) as line,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(sync_settings(publish_rate=100_000, outbox_max_messages=4))
        reader = Reader(line.port)
        await reader.open(stack)
        count = await publish_until_dropped()
        line.bytes_per_second = QUICK_BYTES_PER_SECOND  # it was slow for long enough
        async with asyncio.timeout(WAIT_SECONDS):
            await reader.read_until(b'"n":%d,' % (count - 1))

    assert line.opened == 1
    assert reader.lost >= FEW
    assert reader.lost + len(reader.numbers) == count
    assert reader.numbers == sorted(reader.numbers)


async def test_a_reader_that_has_sent_another_request_is_bounded_too(
    board: None,
) -> None:
    # Only behind a body in chunks is a request parsed before the response is complete.
    body = b"0\r\n\r\n" + head(["GET / HTTP/1.1", "Host: x"])
    serve = serving(ASGIHandler(), http=CLASSES["past-asgi"], send_buffer=BUFFER_BYTES)
    async with serve as port, AsyncExitStack() as stack:
        stack.enter_context(sync_settings(publish_rate=100_000, outbox_max_messages=4))
        stalled = Reader(port, buffer=BUFFER_BYTES)
        await stalled.open(stack, "Transfer-Encoding: chunked", body=body)
        await publish_until_dropped()


async def test_one_of_200_stalled_readers_receives_its_gap_and_others_lose_nothing(
    board: None,
) -> None:
    bounds = sync_settings(
        publish_rate=100_000,
        max_connects_per_second=1_000,
        outbox_max_messages=16,
        stuck_timeout_seconds=60,
    )
    serve = serving(ASGIHandler(), http=CLASSES["past-asgi"], send_buffer=BUFFER_BYTES)
    async with serve as port, AsyncExitStack() as stack:
        stack.enter_context(bounds)
        stalled = Reader(port, buffer=BUFFER_BYTES)
        others = [Reader(port) for _ in range(READERS)]
        await stalled.open(stack)
        for reader in others:
            await reader.open(stack)

        count, last = 0, b""
        while dropped() < FEW:
            assert count < MOST
            for _ in range(BURST):
                await apublish("board", {"n": count, "pad": PAD})
                last = b'"n":%d,' % count
                count += 1
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.gather(*(reader.read_until(last) for reader in others))
        async with asyncio.timeout(WAIT_SECONDS):
            await stalled.read_until(last)

    for reader in others:
        assert (reader.numbers, reader.lost) == (list(range(count)), 0)
    assert stalled.lost >= FEW
    assert stalled.lost + len(stalled.numbers) == count
    assert stalled.numbers == sorted(stalled.numbers)
