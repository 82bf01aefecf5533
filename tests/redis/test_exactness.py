"""The rate is exact: four processes that publish together, over the layer."""

import asyncio
import multiprocessing
import re
from threading import Thread
from typing import Any

import pytest
import redis

from sync_streams.values.sids import new_stream_sid
from tests.programs import RedisServer
from tests.redis.conftest import NewLayer
from tests.redis.hammering import RATE, WINDOW, hammer
from tests.redis.subscriber import Subscriber

pytestmark = pytest.mark.redis

PROCESSES = 4
LEAST = 29.4
"""Messages a second that are accepted when more are asked for."""


def watch(server: RedisServer, sid: str, moments: list[int]) -> None:
    """Record when Redis accepted each Message, by its own clock, until stopped."""
    client: Any = redis.Redis(port=server.port, socket_timeout=None)
    with client.monitor() as monitor:
        for line in monitor.listen():
            command = str(line["command"])
            if re.match(rf"LPUSH site:rate:{{{sid}}} ", command):
                moments.append(int(command.split()[-1]))
            if command == f"ECHO {sid}":
                return


async def test_four_processes_never_exceed_the_rate_nor_waste_it(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    sid = new_stream_sid()
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(
            target=hammer,
            args=(redis_server.url, sid, n * 1_000_000, barrier, results),
            daemon=True,
        )
        for n in range(PROCESSES)
    ]
    moments: list[int] = []
    watcher = Thread(target=watch, args=(redis_server, sid, moments))
    watcher.start()
    async with Subscriber(new_layer(redis_server.url), sid) as subscriber:
        for process in processes:
            process.start()
        answers = [
            number
            for _ in processes
            for number in await asyncio.to_thread(results.get, True, 60)
        ]
        await subscriber.until(len(answers))
    for process in processes:
        await asyncio.to_thread(process.join)
    redis.Redis(port=redis_server.port).echo(sid)
    await asyncio.to_thread(watcher.join)

    # The counted, the published and the confirmed Messages are the same.
    assert sorted(subscriber.numbers) == sorted(answers)
    assert len(moments) == len(answers)
    # The shortest time in which 31 were accepted: a machine that is busy with other
    # things makes publishers late, and the others longer.
    pairs = zip(moments, moments[RATE:], strict=False)
    shortest = min(later - first for first, later in pairs)
    assert WINDOW <= shortest <= RATE * 1_000_000 / LEAST
