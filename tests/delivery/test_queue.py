"""Events that wait for their hub: delivered together, in order, and within a bound."""

import pytest

from sync_streams.delivery.counters import counters
from sync_streams.delivery.events import Event
from sync_streams.delivery.fanout import MAX_BATCH
from sync_streams.delivery.hub import Hub
from sync_streams.delivery.queue import MAX_TAKEN, MAX_WAITING
from sync_streams.operations.data import Message
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket.protocol import JsonEncoder
from tests.delivery.client import Client, published
from tests.overrides import sync_settings
from tests.waiting import until


async def test_messages_that_wait_together_are_written_together(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    clients = [Client(frame_path=True) for _ in range(3)]
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for number in range(8):
        hub._queue.put(published(Message.new(stream_sid, {"n": number})))
    for client in clients:
        await client.until(8)

    assert all(client.numbers == list(range(8)) for client in clients)
    assert [client.writes for client in clients] == [1, 1, 1]


async def test_as_many_messages_are_passed_on_together_as_an_outbox_holds(
    hub: Hub,
) -> None:
    stream_sid = new_stream_sid()
    with sync_settings(outbox_max_messages=MAX_BATCH):
        client = Client()
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for number in range(2 * MAX_TAKEN):
        hub._queue.put(published(Message.new(stream_sid, {"n": number})))
    await client.until(2 * MAX_TAKEN)

    assert client.numbers == list(range(2 * MAX_TAKEN))
    assert client.outbox.dropped == 0


async def test_a_publisher_is_spared_its_own_waiting_messages(hub: Hub) -> None:
    class Skips(JsonEncoder):
        skips_origin = True

    stream_sid, encoder = new_stream_sid(), Skips()
    clients = [Client(frame_path=True) for _ in range(3)]
    for client in clients:
        client.outbox.encoder = encoder
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for number in range(9):
        message = Message.new(stream_sid, {"n": number})
        origin = clients[number % 3].outbox.connection_id if number % 3 < 2 else None
        hub._queue.put(published(message, origin))
    for client, count in zip(clients, (6, 6, 9), strict=True):
        await client.until(count)

    assert [client.numbers for client in clients] == [
        [1, 2, 4, 5, 7, 8],
        [0, 2, 3, 5, 6, 8],
        list(range(9)),
    ]


async def test_a_publisher_that_is_spared_its_own_message_does_not_miss_it(
    hub: Hub,
) -> None:
    class Skips(JsonEncoder):
        skips_origin = True

    stream_sid, encoder = new_stream_sid(), Skips()
    clients = [Client(), Client()]
    for client in clients:
        client.outbox.encoder = encoder
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    origin = clients[0].outbox.connection_id

    for number in range(MAX_WAITING + 1):
        hub._queue.put(published(Message.new(stream_sid, {"n": number}), origin))

    assert [client.outbox.dropped for client in clients] == [0, 1]


@pytest.mark.parametrize("layer", ["memory"], indirect=True)  # none takes part
async def test_the_oldest_of_too_many_waiting_messages_are_dropped_and_reported(
    hub: Hub,
) -> None:
    sid, other = new_stream_sid(), new_stream_sid()
    clients = [Client(), Client(frame_path=True)]
    for client in clients:
        for stream_sid in (sid, other):
            await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    dropped = counters.dropped
    # A probe may have come with the last subscription.
    await until(lambda: not hub.waiting)

    hub._queue.put(Event(type="stream.removed", stream_sid=other))
    for number in range(MAX_WAITING + 9):
        hub._queue.put(published(Message.new(sid, {"n": number})))
    for client in clients:
        await client.until(MAX_WAITING + 2)

    for client in clients:
        kinds = [frame["type"] for frame in client.frames]
        assert kinds.count("stream_removed") == 1
        assert client.frames[0] == {"type": "gap", "stream_sid": sid, "dropped": 9}
        assert client.numbers == list(range(9, MAX_WAITING + 9))
        assert client.outbox.dropped == 9
    assert counters.dropped == dropped + 2 * 9


async def test_waiting_events_of_any_kind_are_bounded(hub: Hub) -> None:
    event = {"type": "stream.updated", "stream_sid": new_stream_sid()}

    for _ in range(3 * MAX_WAITING):
        hub._queue.put(event)

    assert hub.waiting == 2 * MAX_WAITING
