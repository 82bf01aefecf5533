"""The Redis channel layer behaves as channels-redis' pub/sub layer does."""

import asyncio
import random
from typing import Any

import pytest
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer

from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.layer import CAPACITY
from tests.conftest import StartRedis
from tests.programs import RedisServer
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import GROUP, Subscriber, event, publish
from tests.waiting import until

pytestmark = pytest.mark.redis


@pytest.fixture
def layer(new_layer: NewLayer, redis_url: str) -> RedisChannelLayer:
    return new_layer(redis_url)


async def test_a_message_to_a_channel_arrives_there(layer: RedisChannelLayer) -> None:
    channel = await layer.new_channel()

    await layer.send(channel, {"type": "test", "text": "Ahoy-hoy!"})

    assert await layer.receive(channel) == {"type": "test", "text": "Ahoy-hoy!"}


async def test_a_channel_that_was_never_opened_is_opened_to_receive(
    layer: RedisChannelLayer,
) -> None:
    receiving = asyncio.create_task(layer.receive("named"))
    await until(lambda: redis_knows(layer, "named"))

    await layer.send("named", event(1))

    assert await receiving == event(1)


def redis_knows(layer: RedisChannelLayer, channel: str) -> bool:
    client: Any = redis.Redis.from_url(str(layer.hosts[0]["address"]))
    return bool(client.pubsub_channels(channel))


async def test_a_receiver_that_is_cancelled_closes_its_channel(
    layer: RedisChannelLayer,
) -> None:
    channel = await layer.new_channel()
    receiving = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving

    await until(lambda: not redis_knows(layer, channel))


async def test_messages_arrive_in_the_order_in_which_one_sender_sent_them(
    layer: RedisChannelLayer,
) -> None:
    channel = await layer.new_channel()

    for number in range(100):
        await layer.send(channel, event(number))

    assert [(await layer.receive(channel))["n"] for _ in range(100)] == [*range(100)]


async def test_each_channel_of_a_group_gets_a_message_of_its_own(
    layer: RedisChannelLayer, new_layer: NewLayer, redis_url: str
) -> None:
    other = new_layer(redis_url)
    channels = [await layer.new_channel(), await layer.new_channel()]
    afar = await other.new_channel()
    for channel in channels:
        await layer.group_add("news", channel)
    await other.group_add("news", afar)

    await other.group_send("news", {"type": "test", "list": [1]})
    here = [await layer.receive(channel) for channel in channels]
    here[0]["list"].append(2)

    assert here[1] == await other.receive(afar) == {"type": "test", "list": [1]}


async def test_a_channel_that_left_its_group_receives_nothing_more(
    layer: RedisChannelLayer,
) -> None:
    stays, leaves = await layer.new_channel(), await layer.new_channel()
    for channel in (stays, leaves):
        await layer.group_add("news", channel)

    await layer.group_discard("news", leaves)
    await layer.group_discard("news", leaves)
    await layer.group_send("news", event(1))
    await layer.send(leaves, event(2))

    assert await layer.receive(stays) == event(1)
    assert await layer.receive(leaves) == event(2)


async def test_a_group_takes_no_channel_of_another_process(
    layer: RedisChannelLayer,
) -> None:
    with pytest.raises(RuntimeError):
        await layer.group_add("news", "of-somebody-else")


async def test_a_group_that_was_left_and_joined_again_misses_nothing(
    layer: RedisChannelLayer,
) -> None:
    channel = await layer.new_channel()
    for number in range(200):
        await layer.group_add("news", channel)
        await layer.group_send("news", event(number))
        assert await layer.receive(channel) == event(number)
        leaving = layer.group_discard("news", channel)
        await leaving


async def test_the_last_of_joins_and_leaves_in_one_loop_iteration_wins(
    layer: RedisChannelLayer,
) -> None:
    channel = await layer.new_channel()
    joining = [asyncio.create_task(layer.group_add("news", channel)) for _ in range(3)]
    await asyncio.sleep(0)
    await layer.group_discard("news", channel)
    await asyncio.gather(*joining, return_exceptions=True)
    assert not redis_knows(layer, f"{layer.prefix}__group__news")

    await layer.group_add("news", channel)
    await layer.group_send("news", event(1))

    assert await layer.receive(channel) == event(1)


async def test_processes_with_the_stock_layer_send_and_receive(
    layer: RedisChannelLayer, redis_url: str
) -> None:
    stock = RedisPubSubChannelLayer(hosts=[redis_url])
    theirs, ours = await stock.new_channel(), await layer.new_channel()
    await stock.group_add("news", theirs)
    await layer.group_add("news", ours)

    await stock.group_send("news", event(1))
    await layer.group_send("news", event(2))

    for each, channel in ((stock, theirs), (layer, ours)):
        assert [await each.receive(channel) for _ in range(2)] == [event(1), event(2)]
    await stock.flush()


async def test_a_group_is_on_the_server_that_the_stock_layer_chooses(
    redis_url: str,
) -> None:
    hosts = [redis_url] * 5
    layer = RedisChannelLayer(hosts=hosts)
    stock = RedisPubSubChannelLayer(hosts=hosts)

    for number in range(200):
        group = f"sync_streams.stream.{number}"
        shard = stock._get_shard(stock._get_group_channel_name(group))
        assert layer.server_of(group) == stock._shards.index(shard)


@pytest.mark.parametrize(
    "options", [{"serializer_format": "json"}, {"symmetric_encryption_keys": ["s"]}]
)
async def test_serialisers_and_encryption_are_those_of_channels_redis(
    options: dict[str, Any], new_layer: NewLayer, redis_url: str
) -> None:
    layer, stock = (
        new_layer(redis_url, **options),
        RedisPubSubChannelLayer(hosts=[redis_url], **options),
    )
    channel = await layer.new_channel()
    await layer.group_add("news", channel)

    await stock.group_send("news", event(1))

    assert await layer.receive(channel) == event(1)
    await stock.flush()


async def test_an_unreadable_payload_does_not_affect_the_rest(
    layer: RedisChannelLayer, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    async with Subscriber(layer) as subscriber:
        for poison in (b"", b"\xc1", b"\x93", random.randbytes(5_000)):
            client.publish(f"{layer.prefix}__group__{GROUP}", poison)
        await publish(layer, 1)
        await subscriber.until(1)

    assert subscriber.numbers == [1]
    assert caplog.text.count("could not be delivered") == 1


async def test_a_channel_without_a_reader_is_bounded(layer: RedisChannelLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_add("news", channel)

    await asyncio.gather(
        *(layer.group_send("news", event(n)) for n in range(CAPACITY // 2)),
        return_exceptions=True,
    )
    for number in range(CAPACITY):
        await layer.group_send("news", event(number))

    assert layer._here.queue(channel).qsize() == CAPACITY


async def test_a_flushed_layer_is_as_new(redis_server: RedisServer) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    client: Any = redis.Redis.from_url(redis_server.url)
    channel = await layer.new_channel()
    await layer.send(channel, event(1))

    await layer.flush()
    await until(lambda: len(client.client_list()) == 1)

    channel = await layer.new_channel()
    await layer.send(channel, event(2))
    assert await layer.receive(channel) == event(2)
    await layer.flush()


async def test_callbacks_are_notified_of_an_interruption(
    new_layer: NewLayer, redis_server: RedisServer
) -> None:
    told: list[str] = []
    layer = new_layer(
        redis_server.url,
        on_disconnect=lambda: told.append("disconnected"),
        on_reconnect=lambda: told.append("reconnected"),
    )
    layer.on_interruption(lambda number, since: told.append(f"server {number}"))
    loop = asyncio.get_running_loop()
    client: Any = redis.Redis.from_url(redis_server.url)
    async with Subscriber(layer) as subscriber:
        before = loop.time()
        client.client_kill_filter(_type="pubsub")
        await until(lambda: "reconnected" in told)
        assert loop.time() - before < 2

        async with asyncio.timeout(30):
            while not subscriber.numbers:
                await publish(layer, 1)

    assert told == ["server 0", "disconnected", "reconnected"]


async def test_each_server_is_reported_although_the_callbacks_fail(
    new_layer: NewLayer, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        raise RuntimeError("the project's fault")

    servers = start_redis(), start_redis()
    layer = new_layer(
        *(server.url for server in servers),
        on_disconnect=lambda: tell("disconnected"),
        on_reconnect=lambda: tell("reconnected"),
    )
    names = [f"news{number}" for number in range(20)]
    assert {layer.server_of(name) for name in names} == {0, 1}
    async with Subscriber(layer, *names) as subscriber:
        for server in servers:
            redis.Redis(port=server.port).client_kill_filter(_type="pubsub")
        await until(lambda: len(told) == 4)

        for number, name in enumerate(names):
            await layer.group_add(name, subscriber.channel)
            await layer.group_send(name, event(number))
        await subscriber.until(len(names))

    assert sorted(told) == 2 * ["disconnected"] + 2 * ["reconnected"]
    assert caplog.text.count("a callback of the channel layer failed") == 4
