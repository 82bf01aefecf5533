"""Short-lived loops leave nothing behind, in Redis or in memory."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import uvloop
from asgiref.sync import async_to_sync

from sync_streams.layers import RedisChannelLayer
from tests.programs import RedisServer
from tests.redis.subscriber import publish
from tests.waiting import until

pytestmark = pytest.mark.redis

LOOPS = 30


def clients(server: RedisServer) -> int:
    """Count connections to a server, except the one used for counting."""
    with redis.Redis(port=server.port) as client:
        return len(client.client_list()) - 1


def run_uvloop(coroutine: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


def run_by_asgiref(coroutine: Any) -> None:
    async def run() -> None:
        await coroutine

    async_to_sync(run)()


async def use(layer: RedisChannelLayer, loops: "weakref.WeakSet[Any]") -> None:
    loops.add(asyncio.get_running_loop())
    channel = await layer.new_channel()
    await layer.group_add("sync_streams.stream.TO0", channel)
    await publish(layer, 1)
    assert (await layer.receive(channel))["n"] == 1


@pytest.mark.parametrize(
    "run",
    [asyncio.run, run_uvloop, run_by_asgiref],
)
def test_a_loop_for_each_task_leaks_neither_connections_nor_memory(
    run: Callable[[Any], None], redis_server: RedisServer
) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loops: weakref.WeakSet[Any] = weakref.WeakSet()

    for _ in range(LOOPS):
        run(use(layer, loops))
    asyncio.run(until(lambda: clients(redis_server) == 0))
    gc.collect()

    assert len(loops) <= 1


def test_threads_with_loops_of_their_own_share_a_layer(
    redis_server: RedisServer,
) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loops: weakref.WeakSet[Any] = weakref.WeakSet()

    async def work() -> None:
        loops.add(asyncio.get_running_loop())
        for number in range(20):
            await publish(layer, number)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(asyncio.run, work()) for _ in range(40)]:
            future.result()

    asyncio.run(until(lambda: clients(redis_server) == 0))
    gc.collect()
    assert len(loops) <= 8


def test_a_loop_that_ended_without_notice_is_forgotten(
    redis_server: RedisServer,
) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(publish(layer))
    transport: Any = layer._by_loop._values[loop].shards[0]
    socket = transport._node.pipeline._connection._transport
    socket.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    asyncio.run(publish(layer))

    assert not layer._by_loop._values
