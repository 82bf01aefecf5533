"""A Redis Cluster: sharded pub/sub, each Stream's rate and group on one server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.rate_limit import rate
from sync_streams.redis.urls import hosts
from sync_streams.values.sids import name_digits, new_named_stream_sid, new_stream_sid
from tests.redis.conftest import NewLayer
from tests.redis.servers import Cluster
from tests.redis.subscriber import Subscriber, event
from tests.waiting import until

pytestmark = pytest.mark.redis

STREAMS = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def layer(cluster: Cluster, new_layer: NewLayer) -> RedisChannelLayer:
    return new_layer(*hosts(cluster.url))


def group(sid: str) -> str:
    return f"sync_streams.stream.{sid}"


async def publish(layer: RedisChannelLayer, sid: str, number: int = 0) -> float:
    free = (f"rate:{{{name_digits(sid)}}}", 1_000_000, 1_000_000)
    return await layer.group_send_in_rate(group(sid), event(number), free)


async def publish_at_last(layer: RedisChannelLayer, sid: str, number: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await publish(layer, sid, number)
            except RedisUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_streams_are_distributed_and_each_message_arrives_once(
    cluster: Cluster, layer: RedisChannelLayer, new_layer: NewLayer
) -> None:
    sids = [new_stream_sid() for _ in range(STREAMS)]
    other = new_layer(*hosts(cluster.url))
    async with Subscriber(layer, *map(group, sids)) as subscriber:
        await asyncio.gather(
            *(publish(other, sid, number) for number, sid in enumerate(sids))
        )
        await subscriber.until(STREAMS)

    assert sorted(subscriber.numbers) == [*range(STREAMS)]
    for server in cluster.masters:
        with redis.Redis(port=server.port) as client:
            assert int(str(client.dbsize())) > 0


async def test_a_refused_message_is_not_published(layer: RedisChannelLayer) -> None:
    sid = new_stream_sid()
    thirty_a_minute = (f"rate:{{{name_digits(sid)}}}", 30, 60_000_000)
    async with Subscriber(layer, group(sid)) as subscriber:
        waits = [
            await layer.group_send_in_rate(group(sid), event(number), thirty_a_minute)
            for number in range(31)
        ]
        await publish(layer, sid, 99)
        await subscriber.until(31)

    assert waits[:30] == [0] * 30
    assert 59 < waits[30] <= 60
    assert subscriber.numbers == [*range(30), 99]


async def test_streams_of_one_name_share_a_rate_and_receive_only_their_own_messages(
    layer: RedisChannelLayer,
) -> None:
    name = new_stream_sid()
    first, second = (new_named_stream_sid("IS0", name) for _ in range(2))
    key = rate(first)[0]
    three_a_minute = (key, 3, 60_000_000)
    async with Subscriber(layer, group(second)) as subscriber:
        waits = [
            await layer.group_send_in_rate(group(sid), event(number), three_a_minute)
            for number, sid in enumerate([first, first, second, second])
        ]
        await publish(layer, new_named_stream_sid("IS1", name))
        await subscriber.until(1)

    assert rate(second)[0] == key
    assert waits[:3] == [0] * 3
    assert 59 < waits[3] <= 60
    assert subscriber.numbers == [2]


async def test_a_channel_of_one_process_is_reached(layer: RedisChannelLayer) -> None:
    channels = [await layer.new_channel() for _ in range(10)]

    for number, channel in enumerate(channels):
        await layer.send(channel, event(number))

    received = [(await layer.receive(channel))["n"] for channel in channels]
    assert received == [*range(10)]


async def test_a_slot_that_moves_takes_its_stream_along(
    cluster: Cluster, layer: RedisChannelLayer, new_layer: NewLayer
) -> None:
    interruptions: list[int] = []
    layer.on_interruption(lambda server, since: interruptions.append(server))
    sid = new_stream_sid()
    slot = key_slot(name_digits(sid).encode())
    publisher = new_layer(*hosts(cluster.url))
    async with Subscriber(layer, group(sid)) as subscriber:
        await publish(publisher, sid, 1)
        await subscriber.until(1)
        source = cluster.owner(slot)
        target = next(one for one in cluster.masters if one is not source)

        cluster.move(slot, target)
        await until(lambda: interruptions)
        await until(lambda: is_subscribed(target.port, sid))
        await publish_at_last(publisher, sid, 2)
        await subscriber.until(2)

    assert subscriber.numbers == [1, 2]
    assert not is_subscribed(source.port, sid)


def is_subscribed(port: int, sid: str) -> bool:
    head = sid.removesuffix(name_digits(sid))
    with redis.Redis(port=port) as client:
        return bool(client.pubsub_shardchannels(f"*{head}*"))


async def test_a_server_that_is_gone_is_replaced_by_its_replica(
    tmp_path: Path, new_layer: NewLayer
) -> None:
    with Cluster(tmp_path, replicas=1) as cluster:
        layer = new_layer(*hosts(cluster.url))
        sids = [new_stream_sid() for _ in range(STREAMS)]
        async with Subscriber(layer, *map(group, sids)) as subscriber:
            await asyncio.gather(*(publish(layer, sid) for sid in sids))
            await asyncio.to_thread(cluster.masters[-1].kill)
            for number, sid in enumerate(sids, start=1):
                await publish_at_last(layer, sid, number)
            await until(lambda: all_subscribed(cluster, sids))
            await asyncio.gather(
                *(publish(layer, sid, 1000 + n) for n, sid in enumerate(sids))
            )
            await until(lambda: {*range(1000, 1000 + STREAMS)} <= {*subscriber.numbers})


def all_subscribed(cluster: Cluster, sids: list[str]) -> bool:
    ports = [server.port for server in (*cluster.masters[:-1], *cluster.replicas)]
    return all(any(is_subscribed(port, sid) for port in ports) for sid in sids)


async def test_an_unreachable_cluster_is_reported(new_layer: NewLayer) -> None:
    layer = new_layer(*hosts("cluster://127.0.0.1:1,127.0.0.1:2"))

    with pytest.raises(RedisUnavailable) as refused:
        await publish(layer, new_stream_sid())
    with pytest.raises(RedisUnavailable):
        await layer.new_channel()

    assert refused.value.reason == "connection refused"
