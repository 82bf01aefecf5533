"""A subscriber of the channel layer, and what else the tests of it share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sync_streams.delivery.hub import Hub
from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.health import RedisUnavailable
from tests.delivery.hubs import hub_over
from tests.overrides import sync_settings
from tests.redis.hammering import event as event
from tests.waiting import until

GROUP = "sync_streams.stream.TO0"
FREE = ("rate:{TO0}", 1_000_000, 1_000_000)
"""A rate that refuses nothing."""
FULL = ("rate:{TO1}", 1, 60_000_000)
"""A rate that allows one Message a minute."""


async def publish(layer: RedisChannelLayer, number: int = 0) -> float:
    """Publish within a rate that refuses nothing."""
    return await layer.group_send_in_rate(GROUP, event(number), FREE)


@asynccontextmanager
async def hub_on(backend: str, host: object) -> AsyncIterator[Hub]:
    """Start a hub that probes too seldom to find out anything by that.

    Args:
        backend: dotted path of its channel layer.
        host: the layer's Redis, as the layer's settings have it.
    """
    layer = {"BACKEND": backend, "CONFIG": {"hosts": [host]}}
    with sync_settings(probe_seconds=600):
        async with hub_over(layer) as hub:
            yield hub


async def accepted(
    publish: Callable[[], Awaitable[object]], refusal: type[Exception]
) -> None:
    """Publish again and again until it is not refused."""
    async with asyncio.timeout(30):
        while True:
            try:
                await publish()
            except refusal:
                await asyncio.sleep(0.02)
            else:
                return


class Subscriber:
    """Collects the numbers that a group is sent."""

    def __init__(self, layer: RedisChannelLayer, *groups: str) -> None:
        self._layer, self._groups = layer, groups or (GROUP,)
        self.numbers: list[int] = []
        self.channel = ""
        self._task: asyncio.Task[Any]

    async def __aenter__(self) -> "Subscriber":
        self.channel = await self._layer.new_channel()
        for group in self._groups:
            await self._layer.group_add(group, self.channel)
        listening = self._layer.listen(self.channel, self._note)
        self._task = asyncio.create_task(listening)
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, message: Any) -> None:
        self.numbers.append(message["n"])

    async def until(self, count: int) -> None:
        """Wait until that many have arrived."""
        await until(lambda: len(self.numbers) >= count)


async def refused(layer: RedisChannelLayer, times: int = 5) -> str:
    """Publish in vain, at once and together; return the reason."""
    publishing = [publish(layer, n) for n in range(times)]
    answers = await asyncio.gather(*publishing, return_exceptions=True)
    assert all(isinstance(answer, RedisUnavailable) for answer in answers), answers
    return str(getattr(answers[0], "reason", ""))


async def check_rate(layer: RedisChannelLayer) -> None:
    """Publish one Message more than the rate allows: it is the one that is missing."""
    async with Subscriber(layer) as subscriber:
        first = await layer.group_send_in_rate(GROUP, event(1), FULL)
        wait = await layer.group_send_in_rate(GROUP, event(2), FULL)
        await publish(layer, 3)
        await subscriber.until(2)

    assert first == 0
    assert 59 < wait <= 60
    assert subscriber.numbers == [1, 3]
