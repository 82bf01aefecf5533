"""Lookups: bounded, safe between threads, and never older than a removal."""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from threading import Thread

import pytest
from asgiref.sync import sync_to_async

from sync_streams import operations
from sync_streams.cache import lookups
from sync_streams.connections.subscribing import subscribe
from sync_streams.delivery.cluster.broadcast import abroadcast
from sync_streams.delivery.events import process_group
from sync_streams.delivery.hub import Hub
from sync_streams.errors import StreamNotFound, UniqueNameNotFound
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.values import utc
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import Client
from tests.delivery.hubs import running_hub
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID
from tests.waiting import until

COUNT = 3_000


def named(number: int) -> Stream:
    sid = new_stream_sid()
    return Stream(sid=sid, service_id="IS", unique_name=f"{number}-{sid}")


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Make threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
async def hub(transactional_db: None) -> AsyncIterator[Hub]:
    async with running_hub() as hub:
        yield hub


def test_cached_streams_are_bounded() -> None:
    kept = lookups._Streams()

    for number in range(lookups.MAX_STREAMS + 100):
        kept.keep(named(number))

    assert len(kept._entries) == len(kept._sids) == lookups.MAX_STREAMS


@pytest.mark.usefixtures("quick_switches")
def test_threads_may_look_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MAX_STREAMS", 20)
    kept = lookups._Streams()
    done: list[bool] = []

    def look_up() -> None:
        for number in range(COUNT):
            stream = named(number)
            kept.keep(stream)
            kept.get("IS", str(stream.unique_name))
            if number % 3 == 0:
                kept.drop(stream.sid)
        done.append(True)

    threads = [Thread(target=look_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 6
    assert len(kept._entries) == len(kept._sids) <= 20


@sync_to_async
def create() -> tuple[Service, Stream]:
    service = operations.get_service(ACCOUNT_SID, "default")
    return service, operations.create_stream(service, unique_name="news")


async def test_a_stream_is_looked_up_once(hub: Hub) -> None:
    service, stream = await create()
    with sync_settings(cache_seconds=60):
        await sync_to_async(operations.find_stream)(service, "news")
        await Stream.objects.filter(sid=stream.sid).adelete()

        for ref in ("news", stream.sid):
            assert await sync_to_async(operations.find_stream)(service, ref) == stream


def test_streams_looked_up_together_are_not_looked_up_together_again() -> None:
    kept = lookups._Streams()
    with sync_settings(cache_seconds=100):
        now = time.monotonic()
        for _ in range(100):
            kept.keep(Stream(sid=new_stream_sid()))

    left = [entry.until - now for entry in kept._entries.values()]
    assert 50 <= min(left) < 60
    assert 90 < max(left) < 101


async def test_a_removed_stream_is_forgotten_at_once(hub: Hub) -> None:
    service, stream = await create()
    with sync_settings(cache_seconds=60):
        await sync_to_async(operations.find_stream)(service, "news")

        await sync_to_async(operations.remove_stream)(service, "news")

        with pytest.raises(UniqueNameNotFound):
            await operations.apublish(service, "news", {})
        with pytest.raises(StreamNotFound):
            await operations.apublish(service, stream.sid, {})


async def test_a_service_changed_by_another_process_is_noticed(hub: Hub) -> None:
    service, _ = await create()
    with sync_settings(cache_seconds=60):
        await sync_to_async(operations.find_service)(ACCOUNT_SID, "default")
        await sync_to_async(operations.find_stream)(service, "news")
        await Service.objects.filter(sid=service.sid).aupdate(webhook_url="https://b.c")
        assert lookups.cached_stream(service.sid, "news") is not None

        await abroadcast({"type": "service.changed", "service_sid": service.sid})
        await until(lambda: not lookups.cached_service(ACCOUNT_SID, "default"))

        found = await sync_to_async(operations.find_service)(ACCOUNT_SID, "default")
        stream = await sync_to_async(operations.find_stream)(service, "news")
    assert found.webhook_url == stream.service.webhook_url == "https://b.c"


async def test_other_processes_are_notified_of_a_changed_service(hub: Hub) -> None:
    service, _ = await create()
    other = await hub.layer.new_channel()
    await hub.layer.group_add(process_group(), other)

    await sync_to_async(operations.update_service)(service, friendly_name="News")
    await sync_to_async(operations.remove_service)(service)

    told = [await hub.layer.receive(other) for _ in range(3)]
    assert [event["type"] for event in told] == [
        "service.changed",
        "service.changed",
        "stream.removed",
    ]
    assert told[0]["service_sid"] == told[1]["service_sid"] == service.sid


async def test_a_changed_stream_is_looked_up_again(hub: Hub) -> None:
    service, _ = await create()
    with sync_settings(cache_seconds=60):
        await sync_to_async(operations.find_stream)(service, "news")

        await sync_to_async(operations.update_stream)(service, "news", ttl=60)

        found = await sync_to_async(operations.find_stream)(service, "news")
    assert found.date_expires is not None


def set_time(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Stop the clock that the cache reads, and the one that the operations read."""
    monkeypatch.setattr(time, "time", moment.timestamp)
    monkeypatch.setattr(utc, "now", lambda: moment)


async def test_an_expired_stream_is_gone_although_it_is_cached(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, stream = await create()
    moment = utc.now() + timedelta(seconds=30)
    await Stream.objects.filter(sid=stream.sid).aupdate(date_expires=moment)
    with sync_settings(cache_seconds=60):
        await operations.apublish(service, "news", {})

        set_time(monkeypatch, moment - timedelta(microseconds=1))
        await operations.apublish(service, "news", {})
        set_time(monkeypatch, moment)
        with pytest.raises(UniqueNameNotFound):
            await operations.apublish(service, "news", {})


async def test_a_new_stream_takes_over_the_name_at_once(hub: Hub) -> None:
    service, stream = await create()
    with sync_settings(cache_seconds=60):
        await sync_to_async(operations.find_stream)(service, "news")
        await sync_to_async(operations.remove_stream)(service, "news")
        again = await sync_to_async(operations.create_stream)(
            service, unique_name="news"
        )

        message = await operations.apublish(service, "news", {})

    assert message.stream_sid == again.sid != stream.sid


@pytest.mark.django_db(transaction=True)
def test_without_a_hub_nothing_is_kept() -> None:
    service = operations.get_service(ACCOUNT_SID, "default")
    stream = operations.create_stream(service, unique_name="news")
    operations.find_stream(service, "news")

    Stream.objects.filter(sid=stream.sid).delete()

    with pytest.raises(UniqueNameNotFound):
        operations.find_stream(service, "news")


async def test_subscriber_that_asks_again_is_still_told_of_the_removal(
    hub: Hub,
) -> None:
    _, stream = await create()
    client, subscriber = Client(), Actor("alice")
    await subscribe(hub.subscriptions, client.outbox, stream, subscriber)
    await Stream.objects.filter(sid=stream.sid).adelete()
    lookups.forget_all()

    with pytest.raises(StreamNotFound):
        await subscribe(hub.subscriptions, client.outbox, stream, subscriber)
    await abroadcast({"type": "stream.removed", "stream_sid": stream.sid})

    await client.until(1)
    assert client.frames[0]["type"] == "stream_removed"


@pytest.mark.parametrize("kind", ["stream", "service"])
def test_what_changes_right_before_it_is_stored_is_not_stored(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch_stream() -> Stream:
        fetched.append(kind)
        return Stream(sid="TO0", service_id="IS0")

    def fetch_service() -> Service:
        fetched.append(kind)
        return Service(sid="IS0")

    def is_told() -> bool:
        # Asked after the query, whether what was fetched may be kept.
        if fetched:
            lookups.forget_stream("TO0") if kind == "stream" else lookups.forget_all()
        return True

    monkeypatch.setattr(lookups._state, "is_told", is_told)
    if kind == "stream":
        lookups.look_up_stream("IS0", "TO0", fetch_stream)
        assert lookups._streams.get("IS0", "TO0") is None
    else:
        lookups.look_up_service("AC0", "IS0", fetch_service)
        assert ("AC0", "IS0") not in lookups._services
    assert fetched
