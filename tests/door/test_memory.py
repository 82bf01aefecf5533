"""What a client has sent is freed with its connection, not by a garbage collection.

The servers here collect no garbage: whatever is in a reference cycle stays.
"""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from sync_streams.connections.inbound import BYTES_BEFORE_TOKEN
from sync_streams.rest.publishing import PublishRequest, PublishResponse, start
from tests.clients.raw import RawConnection, RawSocket, frame, head
from tests.door.attacker import GET
from tests.door.conftest import Served
from tests.door.healthy import usage

AT_ONCE = 8
ROUNDS = 20
PIPELINED = 40
LARGE = "x: " + "x" * 7_000, "y: " + "y" * 7_000

MAX_BYTES = 4_000_000
"""Far more than a few connections hold, far less than what was sent."""


async def socket(port: int) -> None:
    """Open a socket with a large head; send most of a frame, and vanish."""
    async with RawSocket(port, *LARGE) as client:
        client.send(frame(9, b"there?") + frame(1, b"x" * BYTES_BEFORE_TOKEN)[:-100])
        await client.until(b"there?")


async def flood(port: int) -> None:
    """Send more than an unauthenticated socket may."""
    async with RawSocket(port) as client:
        client.send(frame(1, b"x" * (2 * BYTES_BEFORE_TOKEN - 1)))
        with suppress(ConnectionError):
            await client.end()


@pytest.mark.parametrize("end", [socket, flood])
async def test_data_from_a_client_is_freed_with_its_connection(
    served: Served, end: Callable[[int], Awaitable[None]]
) -> None:
    async def some(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.gather(*(end(served.port) for _ in range(AT_ONCE)))

    await some(ROUNDS // 4)
    before, _ = usage(served.pid)
    await some(ROUNDS)
    after, _ = usage(served.pid)

    assert after - before < MAX_BYTES


async def pipelined(port: int) -> None:
    """Send three requests at once, and read the responses."""
    async with RawConnection(port) as client:
        client.send(head(GET) * 3)
        for _ in range(3):
            await client.until(b'"status":401}')


async def test_pipelined_requests_leave_no_threads(served: Served) -> None:
    """Each has its own context: asgiref ends the thread of each with it."""
    await pipelined(served.port)
    _, before = usage(served.pid)
    for _ in range(PIPELINED):
        await pipelined(served.port)
    _, after = usage(served.pid)

    assert after - before < PIPELINED // 2


class Header(str):
    """Text that can be watched."""

    __slots__ = ("__weakref__",)


def test_a_publish_that_is_refused_is_freed_with_its_reply() -> None:
    header = Header("Basic none")
    watched = weakref.ref(header)

    def refuse(header: str) -> None:
        replies: list[PublishResponse] = []
        request = PublishRequest(
            method="POST",
            path="/v1/Services/default/Streams/demo/Messages",
            service_ref="default",
            stream_ref="demo",
            content_type="application/x-www-form-urlencoded",
            address="192.0.2.1",
            authorization=header,
        )
        assert start(request, b"Data={}", replies.append, started=0)
        assert [reply.status for reply in replies] == [401]

    gc.disable()
    try:
        refuse(header)
        del header
        assert watched() is None
    finally:
        gc.enable()
