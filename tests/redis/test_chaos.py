"""Connections that break at every byte of an exchange: each publish is answered."""

import asyncio
from collections import Counter
from itertools import count

import pytest

from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.health import RedisUnavailable
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.redis.conftest import NewLayer
from tests.redis.listening import GROUP, Subscriber, publish, until

pytestmark = pytest.mark.redis

TOGETHER = 3
"""Messages published in one loop iteration."""
ANSWER_SECONDS = 5


async def publish_all(layer: RedisChannelLayer, first: int) -> list[bool]:
    """Publish some in one loop iteration; return which were confirmed."""
    numbers = range(first, first + TOGETHER)
    async with asyncio.timeout(ANSWER_SECONDS):
        answers = await asyncio.gather(
            *(publish(layer, number) for number in numbers), return_exceptions=True
        )
    for answer in answers:
        assert answer == 0 or isinstance(answer, RedisUnavailable), answer
    return [answer == 0 for answer in answers]


@pytest.mark.parametrize("kind", ["requests", "replies"])
async def test_a_connection_cut_at_any_byte_loses_no_answer_and_doubles_nothing(
    kind: str, server: RedisServer, new_layer: NewLayer
) -> None:
    said: dict[int, bool] = {}
    async with (
        Proxy(server.port) as proxy,
        Subscriber(new_layer(server.url)) as subscriber,
    ):
        whole = RedisChannelLayer(hosts=[proxy.url])
        said |= enumerate(await publish_all(whole, 0))
        size = getattr(proxy, kind)
        await whole.flush()

        for position in range(1, size):
            setattr(proxy, f"cut_{kind}_at", position)
            layer = RedisChannelLayer(hosts=[proxy.url])
            first = position * TOGETHER
            said |= enumerate(await publish_all(layer, first), start=first)
            await layer.flush()

        await publish(new_layer(server.url), -1)
        await until(lambda: -1 in subscriber.numbers)

    heard = Counter(subscriber.numbers)
    assert size > 50
    assert all(said[number] for number in range(TOGETHER))
    assert max(heard.values()) == 1
    assert {number for number, was_said in said.items() if was_said} <= heard.keys()
    # Where the answer was cut off, some were published all the same.
    assert kind == "requests" or len(heard) > sum(said.values())


class Crowd:
    """Publishers that go on until enough has been published."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self._layer = layer
        self._numbers = count()
        self.published: set[int] = set()
        self.refused = 0

    async def publish(self, enough: int) -> None:
        while len(self.published) < enough:
            number = next(self._numbers)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await publish(self._layer, number)
            except RedisUnavailable:
                self.refused += 1
                await asyncio.sleep(0.01)  # as a client would
            else:
                self.published.add(number)


async def keep_cutting(proxy: Proxy) -> None:
    while True:
        await asyncio.sleep(0.05)
        proxy.cut()


async def test_a_connection_cut_while_messages_flow_loses_no_answer(
    server: RedisServer, new_layer: NewLayer
) -> None:
    async with (
        Proxy(server.port) as proxy,
        Subscriber(new_layer(server.url)) as subscriber,
    ):
        crowd = Crowd(new_layer(proxy.url))
        cutting = asyncio.create_task(keep_cutting(proxy))
        await asyncio.gather(*(crowd.publish(2_000) for _ in range(16)))
        cutting.cancel()
        await publish(new_layer(server.url), -1)
        await until(lambda: -1 in subscriber.numbers)

    assert crowd.refused > 0
    assert max(Counter(subscriber.numbers).values()) == 1
    assert crowd.published <= set(subscriber.numbers)


async def test_a_subscription_cut_at_any_byte_is_restored(
    server: RedisServer, new_layer: NewLayer
) -> None:
    publisher = new_layer(server.url)
    async with Proxy(server.port) as proxy:
        whole = RedisChannelLayer(hosts=[proxy.url])
        async with Subscriber(whole):
            size = proxy.replies
        await whole.flush()
        for position in range(1, size):
            proxy.cut_replies_at = position
            layer = RedisChannelLayer(hosts=[proxy.url])
            with pytest.raises(RedisUnavailable):
                await joined(layer)
            proxy.cut_replies_at = None
            async with asyncio.timeout(ANSWER_SECONDS):
                channel = await joined_at_last(layer)
                await publish(publisher, position)
                assert (await layer.receive(channel))["n"] == position
            await layer.flush()


async def joined(layer: RedisChannelLayer) -> str:
    """Return a channel that hears the group."""
    channel = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    return channel


async def joined_at_last(layer: RedisChannelLayer) -> str:
    while True:
        try:
            return await joined(layer)
        except RedisUnavailable:
            await asyncio.sleep(0.01)
