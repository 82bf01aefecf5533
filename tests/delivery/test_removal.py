"""Streams that expire or are removed: subscribers are told once, and on time."""

import asyncio
import time

from sync_streams.delivery import topic
from sync_streams.delivery.cluster.backpressure import backpressure
from sync_streams.delivery.cluster.broadcast import abroadcast
from sync_streams.delivery.events import Event
from sync_streams.delivery.hub import Hub
from sync_streams.operations.data import Message
from sync_streams.values.sids import new_stream_sid
from tests.clock import TURNS, Jump
from tests.delivery.client import Client, published
from tests.delivery.hubs import publish, subscribed
from tests.waiting import until


async def test_a_removal_is_announced_once_and_ends_the_subscription(
    hub: Hub, jump: Jump
) -> None:
    stream_sid = new_stream_sid()
    clients = [Client() for _ in range(5)]
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for _ in range(2):
        await abroadcast({"type": "stream.removed", "stream_sid": stream_sid})
    await publish(stream_sid, 1)
    for client in clients:
        await client.until(1)
    jump(topic.LINGER_SECONDS)
    await until(lambda: not hub.subscriptions.topics)

    told = {"type": "stream_removed", "stream_sid": stream_sid}
    assert all(client.frames == [told] for client in clients)
    assert hub.subscriptions.count(stream_sid) == 0


async def test_a_connection_is_notified_of_a_removed_stream_after_its_client(
    hub: Hub,
) -> None:
    stream_sid, gone = new_stream_sid(), asyncio.Event()
    client = Client()
    told: list[str] = []

    def note(sid: str) -> None:
        told.append(sid)
        gone.set()

    client.outbox.on_removed = note
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await abroadcast({"type": "stream.removed", "stream_sid": stream_sid})
    await asyncio.wait_for(gone.wait(), 30)
    await client.until(1)

    assert told == [stream_sid]
    assert hub.subscriptions.count(stream_sid) == 0


async def test_a_removal_is_announced_by_a_process_that_is_behind(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)
    backpressure().fall_behind()

    await abroadcast(Event(type="stream.removed", stream_sid=stream_sid))
    await client.until(1)

    assert client.frames == [{"type": "stream_removed", "stream_sid": stream_sid}]


async def test_waiting_messages_stay_on_their_side_of_a_removal(hub: Hub) -> None:
    sids = [new_stream_sid(), new_stream_sid()]
    client = Client(frame_path=True)
    for sid in sids:
        await hub.subscriptions.subscribe(client.outbox, sid, None)

    events = [
        *(published(Message.new(sid, {"n": n})) for n in range(3) for sid in sids),
        Event(type="stream.removed", stream_sid=sids[0]),
        *(published(Message.new(sid, {"n": n})) for n in range(3, 6) for sid in sids),
    ]
    for event in events:
        hub._queue.put(event)
    await client.until(10)

    of = [
        [
            f.get("message", {}).get("data")
            for f in client.frames
            if f["stream_sid"] == s
        ]
        for s in sids
    ]
    assert of == [[{"n": 0}, {"n": 1}, {"n": 2}, None], [{"n": n} for n in range(6)]]


async def test_a_stream_expires_on_time(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    moment = time.time() + 0.2

    await hub.subscriptions.subscribe(client.outbox, stream_sid, moment)
    await client.until(1)

    assert 0 <= time.time() - moment < 2  # what an operator is promised
    assert client.frames == [{"type": "stream_removed", "stream_sid": stream_sid}]


async def test_a_stream_outlives_a_clock_that_is_set_back(
    wait: Jump, set_clock: Jump
) -> None:
    expired = asyncio.Event()
    stream = topic.Topic(new_stream_sid())
    stream.expire_at(time.time() + 5, expired.set, is_news=False)

    set_clock(-3600)
    wait(6)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not expired.is_set()
    wait(3600)
    await asyncio.wait_for(expired.wait(), 30)


async def test_a_longer_ttl_is_noticed(hub: Hub, wait: Jump) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    moment = time.time() + 5
    await hub.subscriptions.subscribe(client.outbox, stream_sid, moment)
    updated: Event = {
        "type": "stream.updated",
        "stream_sid": stream_sid,
        "expires_at": moment + 1_000,
    }

    await abroadcast(updated)
    await publish(stream_sid, 1)
    await client.until(1)
    wait(moment + 0.1 - time.time())
    await publish(stream_sid, 2)
    await client.until(2)

    assert client.numbers == [1, 2]


async def test_a_shorter_ttl_is_noticed(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    await abroadcast(
        {"type": "stream.updated", "stream_sid": stream_sid, "expires_at": time.time()}
    )
    await client.until(1)

    assert client.frames == [{"type": "stream_removed", "stream_sid": stream_sid}]


async def test_an_older_expiry_date_does_not_shorten_a_newer_one(
    hub: Hub, wait: Jump
) -> None:
    stream_sid = new_stream_sid()
    early, late = Client(), Client()
    old = time.time() + 5
    await hub.subscriptions.subscribe(early.outbox, stream_sid, old)
    await abroadcast(
        {"type": "stream.updated", "stream_sid": stream_sid, "expires_at": None}
    )
    await publish(stream_sid, 1)
    await early.until(1)

    await hub.subscriptions.subscribe(late.outbox, stream_sid, old)
    wait(old + 0.1 - time.time())
    await publish(stream_sid, 2)
    await early.until(2)

    assert early.numbers == [1, 2]
