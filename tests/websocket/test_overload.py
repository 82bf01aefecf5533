"""A full or slow process: new clients are told when to return, the rest stay."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import Connections, connections
from sync_streams.delivery.hub import get_hub
from sync_streams.errors import TooManyRequests
from sync_streams.models import Stream
from tests.clients.json_socket import LocalSocket
from tests.overrides import sync_settings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def there(stream: Stream) -> AsyncIterator[LocalSocket]:
    """A connection that is subscribed."""
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        yield socket


async def is_told_to_come_back(newcomer: LocalSocket) -> bool:
    """Connect, be refused in the protocol, and be told when to come back."""
    assert await newcomer.open()
    answer = await newcomer.ask("connect", token=newcomer.token)
    closing, code = await newcomer.receive_close()
    assert 0 <= closing["reconnect_after"] <= 5
    assert (closing["code"], code) == (CloseCode.SERVER_BUSY, CloseCode.SERVER_BUSY)
    return (answer["code"], answer["status"]) == (20429, 429)


async def is_undisturbed(socket: LocalSocket) -> bool:
    """Publish over a connection and receive that over it."""
    await socket.ask("publish", stream="news", data={"n": 1})
    return await socket.numbers(1) == [1]


async def test_the_last_place_is_taken_and_the_next_refused(there: LocalSocket) -> None:
    with sync_settings(max_connections=len(connections) + 1):
        async with LocalSocket("last") as last:
            assert last.connected["type"] == "connected"
            assert await is_told_to_come_back(LocalSocket("one too many"))
            assert await is_undisturbed(there)
        async with LocalSocket("free again") as next_one:
            assert next_one.connected["type"] == "connected"


async def test_connections_are_accepted_up_to_the_rate_and_the_next_is_refused(
    there: LocalSocket,
) -> None:
    with sync_settings(max_connects_per_second=3):
        while True:
            # All of it has to fall within one second of the server's clock.
            await asyncio.sleep(1 - time.monotonic() % 1)
            second = int(time.monotonic())
            async with AsyncExitStack() as stack:
                sockets = [LocalSocket() for _ in range(4)]
                for socket in sockets:
                    await stack.enter_async_context(socket)
            if int(time.monotonic()) == second:
                break

    found = [socket.connected["type"] for socket in sockets]
    assert found == ["connected", "connected", "connected", "error"]
    assert await is_undisturbed(there)


@pytest.mark.parametrize(("lag", "is_accepted"), [(1.0, True), (1.001, False)])
async def test_newcomers_are_refused_while_the_process_is_late(
    lag: float, is_accepted: bool
) -> None:
    get_hub().membership.probes[0].lag = lag

    if is_accepted:
        Connections().accept_newcomer()
    else:
        with pytest.raises(TooManyRequests):
            Connections().accept_newcomer()


async def test_a_late_event_loop_is_noticed_and_forgiven() -> None:
    with sync_settings(probe_seconds=0.05):
        async with LocalSocket(), asyncio.timeout(30):
            while get_hub().lag < 0.3:
                time.sleep(0.4)  # noqa: ASYNC251 - that is the fault
                await asyncio.sleep(0.01)
            while get_hub().lag > 0.3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
