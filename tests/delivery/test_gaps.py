"""Gaps: subscribers are told of a loss once, before the next Message."""

from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.operations.data import Message
from sync_streams.twilsock.encoder import ENCODERS
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import Client, gap_of, published
from tests.delivery.hubs import publish, stop, subscribed
from tests.waiting import until


async def test_subscribers_get_a_gap_before_the_next_message(hub: Hub) -> None:
    sids = [new_stream_sid() for _ in range(2)]
    clients = [Client(), Client(frame_path=True)]
    for client, sid in zip(clients, sids, strict=True):
        await hub.subscriptions.subscribe(client.outbox, sid, None)

    hub.membership.doubt()
    await until(lambda: not hub.is_unreachable)
    for sid in sids:
        await publish(sid, 1)

    for client, sid in zip(clients, sids, strict=True):
        await client.until(2)
        assert client.frames[0] == gap_of(sid)
        assert client.numbers == [1]


async def test_a_message_that_arrives_meanwhile_follows_and_precedes_a_gap(
    hub: Hub,
) -> None:
    stream_sid, client = await subscribed(hub)

    hub.membership.lose(0)
    hub._queue.put(published(Message.new(stream_sid, {"n": 1})))
    await client.until(2)
    for server in range(len(hub.membership.probes)):
        hub.membership.recover(server)
    await client.until(3)

    kinds = [frame["type"] for frame in client.frames]
    assert kinds == ["gap", "message", "gap"]


async def test_many_losses_at_once_are_reported_once(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    for _ in range(1_000):
        for server in range(len(hub.membership.probes)):
            hub.membership.recover(server)
    await publish(stream_sid, 1)
    await until(lambda: client.numbers == [1])

    assert client.frames.count(gap_of(stream_sid)) == 1


async def test_a_slow_client_gets_all_gaps_in_one_frame(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client, other, other_sid = Client(reads=False), Client(), new_stream_sid()
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    await hub.subscriptions.subscribe(other.outbox, other_sid, None)
    for number in range(3):
        hub._queue.put(published(Message.new(stream_sid, {"n": number})))
    await until(lambda: client.outbox._backlog._messages == 2)
    for _ in range(5):
        hub.membership.recover(0)
    hub._queue.put(published(Message.new(other_sid, {"n": 0})))
    await until(lambda: other.numbers == [0])

    client.reading.set()
    await publish(stream_sid, 3)
    await client.until(5)

    assert client.numbers == [0, 1, 2, 3]
    assert client.frames.count(gap_of(stream_sid)) == 1


async def test_a_gap_of_an_unsubscribed_stream_blocks_nothing(hub: Hub) -> None:
    left, kept = new_stream_sid(), new_stream_sid()
    client = Client(frame_path=True)
    for stream_sid in (left, kept):
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    client.outbox.record_drop(left)
    assert client.outbox.direct is None
    hub.subscriptions.unsubscribe(client.outbox, left)
    await publish(kept, 1)
    await client.until(1)

    assert client.writes == 1
    assert [frame["type"] for frame in client.frames] == ["message"]


async def test_a_protocol_without_gaps_is_counted(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    client.outbox.encoder = ENCODERS[4]
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    before = counters.gaps_untold

    for server in range(len(hub.membership.probes)):
        hub.membership.recover(server)
    await until(lambda: counters.gaps_untold > before)

    assert counters.gaps_untold == before + 1
    assert client.untold == 1
    assert client.events == []


async def test_a_hub_with_a_cancelled_receiver_receives_again() -> None:
    # In memory only: of Redis' layers, a cancelled receive leaves what it was at.
    hub = get_hub()
    await hub.start()
    stream_sid, client = await subscribed(hub)
    assert hub._receiver is not None
    hub._receiver.cancel()
    await until(lambda: not hub.is_receiving)

    await hub.start()
    await until(lambda: not hub.is_unreachable)
    await publish(stream_sid, 1)
    await client.until(2)
    await stop(hub)

    assert client.frames[0] == gap_of(stream_sid)
    assert client.numbers == [1]
