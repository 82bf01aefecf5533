"""A process that publishes as fast as it can; it is spawned, without Django."""

import asyncio
import time
from multiprocessing.synchronize import Barrier
from typing import Any

from sync_streams.layers import RedisChannelLayer

RATE, WINDOW = 30, 1_000_000
SECONDS = 5


def event(number: int) -> dict[str, Any]:
    return {"type": "test", "n": number}


def hammer(url: str, sid: str, first: int, barrier: Barrier, results: Any) -> None:
    """Publish as fast as answers come; send back what was accepted."""
    barrier.wait()
    results.put(asyncio.run(publish_for_a_while(url, sid, first)))


async def publish_for_a_while(url: str, sid: str, first: int) -> list[int]:
    layer = RedisChannelLayer(hosts=[url])
    rate = (f"site:rate:{{{sid}}}", RATE, WINDOW)
    numbers, accepted = iter(range(first, first + 1_000_000)), []
    until = time.monotonic() + SECONDS

    async def publish() -> None:
        while time.monotonic() < until:
            number = next(numbers)
            if not await layer.group_send_in_rate(sid, event(number), rate):
                accepted.append(number)
            await asyncio.sleep(0.002)

    await asyncio.gather(*(publish() for _ in range(5)))
    await layer.flush()
    return accepted
