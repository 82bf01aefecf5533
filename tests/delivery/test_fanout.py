"""Fan-out: each subscriber of a Stream gets its Messages in order, others get none."""

import asyncio

import pytest

from sync_streams.delivery.cluster import stats, survey
from sync_streams.delivery.cluster.broadcast import abroadcast
from sync_streams.delivery.events import Event
from sync_streams.delivery.fanout import SLICE_CONNECTIONS
from sync_streams.delivery.hub import Hub
from sync_streams.delivery.outbox.frames import Frame
from sync_streams.operations.data import Message
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket.protocol import JsonEncoder
from tests.delivery.client import Client, published
from tests.delivery.hubs import Publisher, publish, subscribed
from tests.waiting import until

QUESTIONS = 20
"""Each test ends when its time is up, whatever a layer is doing."""


@pytest.mark.parametrize(("subscribers", "count"), [(20, 50), (1_000, 10)])
async def test_every_subscriber_receives_every_message_in_order(
    hub: Hub, subscribers: int, count: int
) -> None:
    stream_sid = new_stream_sid()
    clients = [Client() for _ in range(subscribers)]
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for number in range(count):
        await publish(stream_sid, number)
    for client in clients:
        await client.until(count)

    assert all(client.numbers == list(range(count)) for client in clients)


async def test_no_one_receives_messages_of_another_stream(hub: Hub) -> None:
    sids = [new_stream_sid(), new_stream_sid()]
    clients = [Client(), Client()]
    for client, sid in zip(clients, sids, strict=True):
        await hub.subscriptions.subscribe(client.outbox, sid, None)

    await publish(sids[0], 0)
    await publish(sids[1], 1)
    for client in clients:
        await client.until(1)

    assert [client.numbers for client in clients] == [[0], [1]]


async def test_no_message_is_lost_while_processes_are_asked(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "GATHER_SECONDS", 0.01)
    publisher, client = Publisher(new_stream_sid()), Client()
    await hub.subscriptions.subscribe(client.outbox, publisher.stream_sid, None)
    publishing = asyncio.ensure_future(publisher.run())

    for _ in range(QUESTIONS):
        await survey.aask({"type": stats.ASKED, "stream_sids": []})
    publisher.is_done = True
    await publishing
    await until(lambda: client.numbers[-1:] == [publisher.begun])

    assert client.numbers == list(range(1, publisher.begun + 1))


async def test_many_connections_share_one_channel(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    for _ in range(50):
        await hub.subscriptions.subscribe(Client().outbox, stream_sid, None)
    frames: list[Frame] = []

    class Encoder(JsonEncoder):
        def message_published(self, event: Event) -> Frame:
            frames.append(super().message_published(event))
            return frames[-1]

    encoder = Encoder()
    clients = [Client() for _ in range(50)]
    for client in clients:
        client.outbox.encoder = encoder
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await publish(stream_sid, 1)
    for client in clients:
        await client.until(1)

    assert len(frames) == 1


async def test_one_bad_connection_costs_the_others_nothing(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    stream_sid = new_stream_sid()
    clients = [Client(frame_path=True) for _ in range(3)]
    clients[1].is_broken = True
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    for number in range(3):
        await publish(stream_sid, number)
    async with asyncio.timeout(30):
        await clients[0].until(3)
        await clients[2].until(3)

    assert clients[0].numbers == clients[2].numbers == [0, 1, 2]
    assert "cannot take it" in caplog.text
    assert "channel layer failed" not in caplog.text


async def test_one_bad_protocol_costs_the_other_nothing(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(JsonEncoder):
        def message_published(self, event: Event) -> Frame:
            raise ValueError("cannot write it")

        def stream_removed(self, event: Event) -> Frame:
            raise ValueError("cannot write it")

    stream_sid = new_stream_sid()
    bad, good = Client(), Client()
    bad.outbox.encoder = Bad()
    for client in (bad, good):
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await publish(stream_sid, 1)
    await publish(stream_sid, 2)
    await abroadcast({"type": "stream.removed", "stream_sid": stream_sid})
    async with asyncio.timeout(30):
        await good.until(3)

    assert good.numbers == [1, 2]
    assert good.frames[-1]["type"] == "stream_removed"


async def test_a_publisher_receives_its_own_messages_if_its_protocol_says_so(
    hub: Hub,
) -> None:
    class Skips(JsonEncoder):
        skips_origin = True

    stream_sid = new_stream_sid()
    own, other = Client(), Client()
    skipping = [Client(), Client()]
    for client in skipping:
        client.outbox.encoder = Skips()
    for client in (own, other, *skipping):
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await publish(stream_sid, 1, origin=own.outbox.connection_id)
    await publish(stream_sid, 2, origin=skipping[0].outbox.connection_id)
    for client in (own, other, skipping[1]):
        await client.until(2)

    assert own.numbers == other.numbers == skipping[1].numbers == [1, 2]
    assert skipping[0].numbers == [1]


async def test_connections_that_come_or_go_during_a_fan_out_are_not_part_of_it(
    hub: Hub,
) -> None:
    class Other(JsonEncoder):
        pass

    stream_sid, other = new_stream_sid(), Other()
    clients = [Client(frame_path=True) for _ in range(3 * SLICE_CONNECTIONS)]
    for client in clients[SLICE_CONNECTIONS:]:
        client.outbox.encoder = other
    for client in clients:
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    hub._queue.put(published(Message.new(stream_sid, {"n": 1})))
    await clients[0].until(1)
    assert not clients[-1].frames
    hub.subscriptions.unsubscribe(clients[-1].outbox, stream_sid)
    late = Client(frame_path=True)
    late.outbox.encoder = other
    await hub.subscriptions.subscribe(late.outbox, stream_sid, None)
    await publish(stream_sid, 2)
    await late.until(1)

    assert late.numbers == [2]
    assert clients[-1].numbers == []
    for client in clients[:-1]:
        await client.until(2)
        assert client.numbers == [1, 2]


async def test_a_burst_costs_a_client_that_reads_nothing(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    for number in range(600):
        await publish(stream_sid, number)
    await client.until(600)

    assert client.numbers == list(range(600))
    assert client.outbox.dropped == 0
