"""Joining and leaving: a confirmed subscription misses nothing, and leaves no trace."""

import asyncio
import time

import pytest

from sync_streams.delivery import topic
from sync_streams.delivery.cluster.backpressure import backpressure
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket import protocol
from tests.clock import Jump
from tests.delivery.client import Client
from tests.delivery.hubs import (
    REDIS_LAYERS,
    Publisher,
    hub_over,
    publish,
    subscribed,
    until_introduced,
)
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.waiting import until

STREAMS_AT_ONCE = 150
"""More than redis-py opens connections for one pool."""


async def visit(hub: Hub, publisher: Publisher) -> tuple[Client, int]:
    """Subscribe, receive a few Messages and leave; return what must arrive."""
    client = Client()
    await hub.subscriptions.subscribe(client.outbox, publisher.stream_sid, None)
    first = publisher.begun + 1
    async with asyncio.timeout(30):
        while not client.numbers or client.numbers[-1] < first + 2:
            await client.until(len(client.frames) + 1)
    hub.subscriptions.unsubscribe(client.outbox, publisher.stream_sid)
    client.outbox.put(protocol.reply("unsubscribed"))
    return client, first


@pytest.mark.parametrize("linger", [0, topic.LINGER_SECONDS])
async def test_a_subscription_that_was_answered_misses_nothing_and_ends_when_asked(
    hub: Hub, linger: float, jump: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "LINGER_SECONDS", linger)
    publisher = Publisher(new_stream_sid())
    publishing = asyncio.ensure_future(publisher.run())
    visits: list[tuple[Client, int]] = []

    async def come_and_go(pause: float) -> None:
        for _ in range(15):
            visits.append(await visit(hub, publisher))
            await asyncio.sleep(pause)

    await asyncio.gather(*(come_and_go(0.002 * n) for n in range(4)))
    publisher.is_done = True
    await publishing
    jump(linger)
    await until(lambda: not hub.subscriptions.topics)

    assert len(visits) == 60
    for client, first in visits:
        assert client.frames[-1] == {"type": "unsubscribed"}
        numbers = client.numbers
        assert numbers[-1] >= first + 2
        if not linger:
            # From an earlier stay there may be some, with others missing between.
            numbers = [number for number in numbers if number >= first]
        assert numbers[0] <= first
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_quick_comings_and_goings_leave_the_last_one_subscribed(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()

    for _ in range(50):
        joining = asyncio.ensure_future(
            hub.subscriptions.subscribe(client.outbox, stream_sid, None)
        )
        await asyncio.sleep(0)
        hub.subscriptions.unsubscribe(client.outbox, stream_sid)
        await joining
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    await publish(stream_sid, 1)

    await client.until(1)
    assert hub.subscriptions.count(stream_sid) == 1


async def test_subscribing_twice_delivers_once(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    for _ in range(3):
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await publish(stream_sid, 1)
    await publish(stream_sid, 2)
    await client.until(2)

    assert client.numbers == [1, 2]


async def test_subscribing_again_in_vain_leaves_the_subscription_as_it_was(
    hub: Hub,
) -> None:
    stream_sid, client = await subscribed(hub)

    with sync_settings(broadcast_timeout_seconds=0.05):
        async with hub.subscriptions.topics[stream_sid]._lock:  # as while rejoining
            with pytest.raises(ServiceUnavailable):
                await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    await publish(stream_sid, 1)

    await client.until(1)


@pytest.mark.redis
@pytest.mark.parametrize("name", REDIS_LAYERS)
async def test_nothing_is_missed_where_redis_executes_the_subscription_late(
    name: str, redis_server: RedisServer
) -> None:
    late = Proxy(redis_server.port, delay=0.3, delayed_from=b"SUBSCRIBE")
    async with late as proxy:
        layer = {"BACKEND": REDIS_LAYERS[name], "CONFIG": {"hosts": [proxy.url]}}
        async with hub_over(layer) as hub:
            stream_sid, client = await subscribed(hub)

            await publish(stream_sid, 1)
            await publish(stream_sid, 2)
            await client.until(2)

    assert client.numbers == [1, 2]


async def test_hundreds_of_streams_are_subscribed_to_published_to_and_left_at_once(
    hub: Hub, jump: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    clients = {new_stream_sid(): Client() for _ in range(STREAMS_AT_ONCE)}
    await asyncio.gather(
        *(
            hub.subscriptions.subscribe(client.outbox, sid, None)
            for sid, client in clients.items()
        )
    )

    await asyncio.gather(*(publish(sid, 1) for sid in clients))
    for client in clients.values():
        await client.until(1)
        hub.subscriptions.forget(client.outbox)
    jump(topic.LINGER_SECONDS)

    await until(lambda: not hub.subscriptions.topics and not hub.subscriptions.tasks)
    assert [client.numbers for client in clients.values()] == [[1]] * STREAMS_AT_ONCE
    ours = "sync_streams"
    assert not [log for log in caplog.records if log.name.startswith(ours)]


async def test_a_group_is_left_a_second_after_the_last_one(
    hub: Hub, jump: Jump
) -> None:
    loop = asyncio.get_running_loop()
    stream_sid = new_stream_sid()
    one, two = Client(), Client()
    await hub.subscriptions.subscribe(one.outbox, stream_sid, None)
    [joined] = hub.subscriptions.topics.values()

    hub.subscriptions.unsubscribe(one.outbox, stream_sid)
    await hub.subscriptions.subscribe(two.outbox, stream_sid, None)
    assert hub.subscriptions.topics == {stream_sid: joined}
    hub.subscriptions.unsubscribe(two.outbox, stream_sid)
    left_at = loop.time()
    hub.subscriptions.unsubscribe(two.outbox, stream_sid)
    jump(topic.LINGER_SECONDS - 0.05)
    assert joined.is_joined
    await until(lambda: not hub.subscriptions.topics)

    assert loop.time() - left_at >= topic.LINGER_SECONDS


async def test_a_stream_without_subscribers_leaves_no_trace(
    hub: Hub, jump: Jump
) -> None:
    sids = [new_stream_sid() for _ in range(100)]
    client = Client()
    for sid in sids:
        await hub.subscriptions.subscribe(client.outbox, sid, time.time() + 1_000)

    assert len(hub.subscriptions.topics) == 100
    hub.subscriptions.forget(client.outbox)
    jump(topic.LINGER_SECONDS)
    await until(lambda: not hub.subscriptions.topics)

    assert client.outbox.streams == set()
    await until(lambda: len(hub.tasks) == 2 and not len(hub.subscriptions.tasks))
    await publish(sids[0], 1)
    assert client.numbers == []


async def test_an_idle_stream_costs_no_task(hub: Hub) -> None:
    await until_introduced(hub)
    client = Client()
    before = len(asyncio.all_tasks())

    for _ in range(200):
        await hub.subscriptions.subscribe(client.outbox, new_stream_sid(), None)

    assert len(asyncio.all_tasks()) <= before + 1


async def test_only_streams_with_subscribers_are_busy(hub: Hub) -> None:
    sids = [new_stream_sid() for _ in range(3)]
    clients = [Client(), Client()]
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, sids[0], None)
    for sid in sids[1:]:
        await hub.subscriptions.subscribe(clients[0].outbox, sid, None)

    hub.subscriptions.unsubscribe(clients[0].outbox, sids[2])

    assert hub.subscriptions.busiest(9) == {sids[0]: 2, sids[1]: 1}
    assert hub.subscriptions.busiest(1) == {sids[0]: 2}


async def test_no_subscription_is_confirmed_where_nothing_arrives(hub: Hub) -> None:
    client, sid = Client(), new_stream_sid()
    backpressure().unreachable |= set(range(len(hub.membership.probes)))

    with pytest.raises(ServiceUnavailable):
        await hub.subscriptions.subscribe(client.outbox, sid, None)
    backpressure().unreachable.clear()

    assert hub.subscriptions.count(sid) == 0


async def test_a_layer_that_fails_makes_subscribing_unavailable(
    hub: Hub, jump: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream_sid = new_stream_sid()
    client = Client()

    async def fail(group: str, channel: str) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(hub.layer, "group_add", fail)
        with pytest.raises(ServiceUnavailable):
            await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    jump(topic.LINGER_SECONDS)
    await until(lambda: not hub.subscriptions.topics)
    assert client.outbox.streams == set()

    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    await publish(stream_sid, 1)
    await client.until(1)
