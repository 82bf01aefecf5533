"""Hub: one channel for all, joined with the first subscriber and left with the last."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sync_streams.delivery import topic
from sync_streams.delivery.cluster import stats, survey
from sync_streams.delivery.cluster.backpressure import backpressure
from sync_streams.delivery.cluster.broadcast import abroadcast, send_to_group
from sync_streams.delivery.counters import counters
from sync_streams.delivery.events import (
    FORMAT,
    Event,
    process_group,
    stream_group,
)
from sync_streams.delivery.fanout import MAX_BATCH, SLICE_CONNECTIONS
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.delivery.outbox.frames import Frame
from sync_streams.delivery.queue import MAX_TAKEN, MAX_WAITING
from sync_streams.errors import ServiceUnavailable
from sync_streams.operations.data import Message
from sync_streams.twilsock.encoder import ENCODERS
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket import protocol
from sync_streams.websocket.protocol import JsonEncoder
from tests.clock import TURNS, Jump
from tests.delivery.client import Client, gap_of, published
from tests.delivery.hubs import (
    MEMORY_LAYERS,
    REDIS_LAYERS,
    hub_over,
    publish,
    stop,
    subscribed,
    until_introduced,
)
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.waiting import until

STREAMS_AT_ONCE = 150
"""More than redis-py opens connections for one pool."""

QUESTIONS = 20
"""Each test ends when its time is up, whatever a layer is doing."""


@pytest.fixture(
    params=[
        *MEMORY_LAYERS,
        *(pytest.param(n, marks=pytest.mark.redis) for n in REDIS_LAYERS),
    ]
)
def layer(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Configuration of each channel layer that the hub must work on."""
    if backend := MEMORY_LAYERS.get(request.param):
        return {"BACKEND": backend, "CONFIG": {"capacity": 10_000}}
    config: dict[str, Any] = {"hosts": [request.getfixturevalue("redis_url")]}
    if request.param == "core":
        config["capacity"] = 10_000
    return {"BACKEND": REDIS_LAYERS[request.param], "CONFIG": config}


@pytest.fixture
async def hub(layer: dict[str, Any]) -> AsyncIterator[Hub]:
    """A hub that listens, on the running loop."""
    async with hub_over(layer) as hub:
        yield hub


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


class Publisher:
    """Publishes numbers continuously until it is stopped."""

    def __init__(self, stream_sid: str) -> None:
        self.stream_sid = stream_sid
        self.begun = 0
        self.is_done = False

    async def run(self) -> None:
        while not self.is_done:
            self.begun += 1
            await publish(self.stream_sid, self.begun)
            await asyncio.sleep(0)


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


async def test_a_stream_expires_on_time(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    moment = time.time() + 0.2

    await hub.subscriptions.subscribe(client.outbox, stream_sid, moment)
    await client.until(1)

    assert 0 <= time.time() - moment < 2  # what an operator is promised
    assert client.frames == [{"type": "stream_removed", "stream_sid": stream_sid}]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Set the wall clock forward or, with negative seconds, back."""
    ahead = 0.0

    def set_clock(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(topic, "time", lambda: time.time() + ahead)
    return set_clock


@pytest.fixture
def wait(jump: Jump, set_clock: Jump) -> Jump:
    """Let time pass, by both clocks."""

    def wait(seconds: float) -> None:
        jump(seconds)
        set_clock(seconds)

    return wait


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
    await asyncio.wait_for(expired.wait(), 5)


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
    await asyncio.wait_for(gone.wait(), 5)
    await client.until(1)

    assert told == [stream_sid]
    assert hub.subscriptions.count(stream_sid) == 0


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


async def test_subscribing_twice_delivers_once(hub: Hub) -> None:
    stream_sid = new_stream_sid()
    client = Client()
    for _ in range(3):
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)

    await publish(stream_sid, 1)
    await publish(stream_sid, 2)
    await client.until(2)

    assert client.numbers == [1, 2]


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


async def test_publishers_do_not_outpace_their_own_process() -> None:
    layer = {
        "BACKEND": MEMORY_LAYERS["memory"],
        "CONFIG": {"capacity": MAX_TAKEN},
    }
    async with hub_over(layer) as hub:
        sids = [new_stream_sid() for _ in range(20)]
        client = Client(frame_path=True)
        for sid in sids:
            await hub.subscriptions.subscribe(client.outbox, sid, None)

        async def publish_many(sid: str) -> None:
            for number in range(100):
                await publish(sid, number)

        await asyncio.gather(*map(publish_many, sids))
        await client.until(2000)

    of = {sid: [f for f in client.frames if f["stream_sid"] == sid] for sid in sids}
    for frames in of.values():
        assert [f["message"]["data"]["n"] for f in frames] == list(range(100))


async def test_a_process_that_stays_behind_refuses_messages(hub: Hub) -> None:
    await until_introduced(hub)
    stream_sid, client = await subscribed(hub)

    with sync_settings(broadcast_timeout_seconds=0.05):
        await refuses_while_behind(stream_sid)
    backpressure().catch_up()
    await publish(stream_sid, 2)
    await until(lambda: client.numbers[-1:] == [2])

    assert set(client.numbers[:-1]) <= {1}


async def refuses_while_behind(stream_sid: str) -> None:
    """Publish 1 until it is refused: a probe that arrives makes a hub catch up."""
    async with asyncio.timeout(30):
        while True:
            backpressure().fall_behind()
            try:
                await publish(stream_sid, 1)
            except ServiceUnavailable:
                return


async def waiting_publishers(sid: str, count: int) -> "list[asyncio.Task[None]]":
    """Let publishers use a process that is behind."""
    backpressure().fall_behind()
    tasks = [asyncio.create_task(publish(sid, number)) for number in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_publishers_that_waited_are_not_too_many_again() -> None:
    layer = {"BACKEND": MEMORY_LAYERS["memory"], "CONFIG": {"capacity": 50}}
    async with hub_over(layer) as hub:
        stream_sid, client = await subscribed(hub, frame_path=True)

        tasks = await waiting_publishers(stream_sid, 400)
        backpressure().catch_up()
        await asyncio.gather(*tasks)
        await client.until(400)

    assert client.numbers == list(range(400))


async def test_waiting_publishers_are_refused_by_an_unreachable_process(
    hub: Hub,
) -> None:
    stream_sid, _client = await subscribed(hub)

    tasks = await waiting_publishers(stream_sid, 2)
    backpressure().unreachable |= set(range(len(hub.membership.probes)))
    backpressure().catch_up()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    backpressure().unreachable.clear()

    assert [type(answer) for answer in answers] == [ServiceUnavailable] * 2


async def test_a_stream_without_subscribers_here_does_not_wait(hub: Hub) -> None:
    backpressure().fall_behind()

    with sync_settings(broadcast_timeout_seconds=0.5):
        await publish(new_stream_sid(), 1)
    backpressure().catch_up()


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


async def test_many_losses_at_once_are_reported_once(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    for _ in range(1_000):
        for server in range(len(hub.membership.probes)):
            hub.membership.recover(server)
    await publish(stream_sid, 1)
    await until(lambda: client.numbers == [1])

    assert client.frames.count(gap_of(stream_sid)) == 1


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


async def test_no_subscription_is_confirmed_where_nothing_arrives(hub: Hub) -> None:
    client, sid = Client(), new_stream_sid()
    backpressure().unreachable |= set(range(len(hub.membership.probes)))

    with pytest.raises(ServiceUnavailable):
        await hub.subscriptions.subscribe(client.outbox, sid, None)
    backpressure().unreachable.clear()

    assert hub.subscriptions.count(sid) == 0


POISON: list[dict[str, Any]] = [
    {"type": "message.published", "stream_sid": ["TO"], "message_sid": "TZ"},
    {"type": "message.published"},
    {"type": "stream.removed", "stream_sid": None},
    {"type": "stream.updated", "stream_sid": "TO", "format": FORMAT + 1},
    {"type": "stream.updated", "stream_sid": "TO", "format": "1"},
    {"type": 7},
    {},
]


@pytest.mark.parametrize("poison", POISON, ids=repr)
async def test_an_event_of_an_unknown_shape_is_counted_and_reported_as_a_gap(
    hub: Hub, poison: dict[str, Any]
) -> None:
    stream_sid, client = await subscribed(hub)
    before = counters.events_rejected

    await send_to_group(stream_group(stream_sid), poison)
    await publish(stream_sid, 1)
    await client.until(2)

    assert counters.events_rejected == before + 1
    assert not hub.is_unreachable
    assert client.frames[0] == gap_of(stream_sid)
    assert client.numbers == [1]


async def test_an_event_of_the_known_format_is_delivered(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    event = published(Message.new(stream_sid, {"n": 1}))
    await send_to_group(stream_group(stream_sid), {**event, "format": FORMAT})
    await client.until(1)

    assert client.numbers == [1]


async def test_kinds_of_events_of_a_later_release_are_ignored(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)
    before = counters.events_rejected

    await send_to_group(stream_group(stream_sid), {"type": "message.edited", "v": 9})
    await send_to_group(process_group(), {"type": "service.renamed", "name": 7})
    await publish(stream_sid, 1)
    await client.until(1)

    assert counters.events_rejected == before
    assert [frame["type"] for frame in client.frames] == ["message"]


async def test_waiting_events_of_any_kind_are_bounded(hub: Hub) -> None:
    event = {"type": "stream.updated", "stream_sid": new_stream_sid()}

    for _ in range(3 * MAX_WAITING):
        hub._queue.put(event)

    assert hub.waiting == 2 * MAX_WAITING


async def test_a_removal_is_announced_by_a_process_that_is_behind(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)
    backpressure().fall_behind()

    with sync_settings(broadcast_timeout_seconds=0.5):
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


async def test_a_burst_costs_a_client_that_reads_nothing(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    for number in range(600):
        await publish(stream_sid, number)
    await client.until(600)

    assert client.numbers == list(range(600))
    assert client.outbox.dropped == 0


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
