"""``python -m bench.layer LAYER JOB URL PUBLISHERS MESSAGES``: one layer, alone.

Prints this process's CPU time per Message in µs, and Messages per second, as JSON. The
layers are ``ours`` and ``pubsub``: channels-redis' layer, with redis-py for the rate
limit. The jobs are ``publish``, within the rate limit, and ``receive``, from another
process.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
import uvloop
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings

from sync_streams.redis.layer import RedisChannelLayer
from sync_streams.redis.scripts import SPEND

GROUP = "sync_streams.stream.TO" + "b" * 32
STREAMS = 100
FREE = 1_000_000, 1_000_000
"""A rate limit that refuses nothing."""

EVENT = {
    "type": "message.published",
    "stream_sid": "TO" + "b" * 32,
    "message_sid": "TZ" + "b" * 32,
    "text": json.dumps({"pad": "x" * 190}),
    "origin": None,
}
AT_ONCE, PAUSE_SECONDS = 16, 0.004
"""How the other process publishes: at a steady rate, not as fast as possible."""


class Ours:
    """One script; all commands of a loop iteration are sent together."""

    def __init__(self, url: str) -> None:
        self.layer = RedisChannelLayer(hosts=[url])

    async def publish(self, number: int) -> None:
        rate = (f"rate:{number % STREAMS}", *FREE)
        assert not await self.layer.group_send_in_rate(GROUP, EVENT, rate)

    async def receive(self, channel: str, put: Callable[[Any], None]) -> None:
        await self.layer.listen(channel, put)

    async def close(self) -> None:
        await self.layer.flush()


class PubSub:
    """A script for the rate limit, then the layer."""

    def __init__(self, url: str) -> None:
        self.layer = RedisPubSubChannelLayer(hosts=[url])
        self._client = redis.asyncio.Redis.from_url(url)

    async def publish(self, number: int) -> None:
        rate = map(str, FREE)
        await self._client.eval(SPEND.text, 1, f"rate:{number % STREAMS}", *rate)
        await self.layer.group_send(GROUP, EVENT)

    async def receive(self, channel: str, put: Callable[[Any], None]) -> None:
        while True:
            put(await self.layer.receive(channel))

    async def close(self) -> None:
        await self.layer.flush()
        await self._client.aclose()


LAYERS: dict[str, type[Ours] | type[PubSub]] = {"ours": Ours, "pubsub": PubSub}


async def publish(layer: Ours | PubSub, publishers: int, count: int) -> list[float]:
    """Publish from *publishers* tasks at once."""

    async def repeat(times: int) -> None:
        for number in range(times):
            await layer.publish(number)

    await asyncio.gather(*(repeat(1) for _ in range(publishers)))
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(repeat(count // publishers) for _ in range(publishers)))
    used, took = time.process_time() - cpu, time.perf_counter() - wall
    return [used / count * 1e6, count / took]


async def receive(layer: Ours | PubSub, url: str, count: int) -> list[float]:
    """Receive Messages that another process publishes."""
    channel = await layer.layer.new_channel()
    await layer.layer.group_add(GROUP, channel)
    received, done = [], asyncio.Event()

    def put(event: object) -> None:
        received.append(event)
        if len(received) == count:
            done.set()

    receiving = asyncio.create_task(layer.receive(channel, put))
    await asyncio.sleep(0)
    command = [sys.executable, "-m", "bench.layer", "ours", "steady", url, "1"]
    other = await asyncio.create_subprocess_exec(
        *command, str(count), stdout=asyncio.subprocess.DEVNULL
    )
    cpu, wall = time.process_time(), time.perf_counter()
    await done.wait()
    used, took = time.process_time() - cpu, time.perf_counter() - wall
    await other.wait()
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    return [used / count * 1e6, count / took]


async def steady(layer: Ours | PubSub, count: int) -> list[float]:
    """Publish at a steady rate."""
    for number in range(0, count, AT_ONCE):
        together = range(number, min(number + AT_ONCE, count))
        await asyncio.gather(*map(layer.publish, together))
        await asyncio.sleep(PAUSE_SECONDS)
    return [0, 0]


async def main(name: str, job: str, url: str, publishers: int, count: int) -> None:
    """Run one job and print its figures."""
    layer = LAYERS[name](url)
    if job == "publish":
        figures = await publish(layer, publishers, count)
    elif job == "receive":
        figures = await receive(layer, url, count)
    else:
        figures = await steady(layer, count)
    await layer.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    settings.configure(SYNC_STREAMS={}, SECRET_KEY="x" * 50, DATABASES={})
    name, job, url, publishers, count = sys.argv[1:]
    uvloop.run(main(name, job, url, int(publishers), int(count)))
