"""Connections that break at every byte of an exchange: each publish is answered."""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

import pytest
import redis.asyncio
from channels_redis.core import RedisChannelLayer as CoreLayer

from sync_streams.delivery.counters import counters
from sync_streams.delivery.events import stream_group
from sync_streams.delivery.hub import Hub
from sync_streams.layers import RedisChannelLayer
from sync_streams.operations.data import Message
from sync_streams.redis.health import RedisUnavailable
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import Client, published
from tests.delivery.hubs import REDIS_LAYERS, until_introduced
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import GROUP, Subscriber, hub_on, publish
from tests.waiting import until

pytestmark = pytest.mark.redis

TOGETHER = 3
"""Messages published in one loop iteration."""
ANSWER_SECONDS = 5
SOCKET_SECONDS = 2
"""Time for which a socket may be silent; redis-py 8 allows 5 s by default."""


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
    kind: str, redis_server: RedisServer, new_layer: NewLayer
) -> None:
    said: dict[int, bool] = {}
    async with (
        Proxy(redis_server.port) as proxy,
        Subscriber(new_layer(redis_server.url)) as subscriber,
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

        await publish(new_layer(redis_server.url), -1)
        await until(lambda: -1 in subscriber.numbers)

    heard = Counter(subscriber.numbers)
    assert size > 50
    assert all(said[number] for number in range(TOGETHER))
    assert max(heard.values()) == 1
    assert {number for number, was_said in said.items() if was_said} <= heard.keys()
    # If the reply was cut off, some were published nevertheless.
    assert kind == "requests" or len(heard) > sum(said.values())


class Crowd:
    """Publishers that continue until enough has been published."""

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
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    async with (
        Proxy(redis_server.port) as proxy,
        Subscriber(new_layer(redis_server.url)) as subscriber,
    ):
        crowd = Crowd(new_layer(proxy.url))
        cutting = asyncio.create_task(keep_cutting(proxy))
        await asyncio.gather(*(crowd.publish(2_000) for _ in range(16)))
        cutting.cancel()
        await publish(new_layer(redis_server.url), -1)
        await until(lambda: -1 in subscriber.numbers)

    assert crowd.refused > 0
    assert max(Counter(subscriber.numbers).values()) == 1
    assert crowd.published <= set(subscriber.numbers)


async def test_a_subscription_cut_at_any_byte_is_restored(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    publisher = new_layer(redis_server.url)
    async with Proxy(redis_server.port) as proxy:
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
    """Return a channel in the group."""
    channel = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    return channel


async def joined_at_last(layer: RedisChannelLayer) -> str:
    while True:
        try:
            return await joined(layer)
        except RedisUnavailable:
            await asyncio.sleep(0.01)


def core_hub(host: str | dict[str, Any]) -> AbstractAsyncContextManager[Hub]:
    """Start a hub on a core layer."""
    return hub_on(REDIS_LAYERS["core"], host)


async def until_receiver_waits(server: RedisServer) -> None:
    """Wait until a core layer has nothing to do but wait for an event."""
    async with redis.asyncio.Redis(port=server.port) as client:
        async with asyncio.timeout(ANSWER_SECONDS):
            while not (await client.info("clients"))["blocked_clients"]:
                continue


async def test_messages_in_flight_when_a_core_layers_connection_broke_are_a_gap(
    redis_server: RedisServer,
) -> None:
    sid, client, elsewhere = new_stream_sid(), Client(), CoreLayer([redis_server.url])
    async with Proxy(redis_server.port) as proxy, core_hub(proxy.url) as hub:
        await hub.subscriptions.subscribe(client.outbox, sid, None)
        await until_introduced(hub)
        await until_receiver_waits(redis_server)

        proxy.is_silent, replies = True, proxy.replies
        event = dict(published(Message.new(sid, {"n": 1})))
        await elsewhere.group_send(stream_group(sid), event)
        await until(lambda: proxy.replies > replies)
        proxy.is_silent = False
        proxy.cut()
        await client.until(1)
    await elsewhere.close_pools()

    assert client.frames == [{"type": "gap", "stream_sid": sid, "dropped": None}]


async def test_a_core_layer_on_which_nothing_happens_is_not_doubted(
    redis_server: RedisServer,
) -> None:
    host = {"address": redis_server.url, "socket_timeout": SOCKET_SECONDS}
    async with core_hub(host) as hub:
        doubts = counters.times_unreachable
        await asyncio.sleep(1.2 * SOCKET_SECONDS)  # the silence itself

        assert counters.times_unreachable == doubts
        assert not hub.is_unreachable
