"""The Python API, from everywhere that a host project's code may run."""

import asyncio
from functools import partial
from threading import Thread

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.utils.connection import ConnectionDoesNotExist
from pytest_django import Settings

from sync_streams import operations
from sync_streams.delivery.meters import meters
from sync_streams.errors import (
    InvalidUniqueName,
    ServiceNotFound,
    ServiceUnavailable,
    StreamNotFound,
    UniqueNameNotFound,
)
from sync_streams.models import Stream
from sync_streams.publishing import (
    apublish,
    atry_publish,
    publish,
    publish_on_commit,
    try_publish,
)
from sync_streams.testing import (
    Published,
    Refused,
    Subscriber,
    capture_published,
    in_memory,
)
from tests.settings import ACCOUNT_SID, OTHER_ACCOUNT_SID

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _orders() -> None:
    service = operations.get_service(ACCOUNT_SID, "default")
    operations.create_stream(service, unique_name="orders")


def data_of(published: list[Published]) -> list[object]:
    return [one.message.data for one in published]


def test_publish_needs_names_only() -> None:
    with capture_published() as published:
        message = publish("orders", {"n": 1})

    assert message.sid.startswith("TZ")
    assert data_of(published) == [{"n": 1}]
    assert published[0].stream.unique_name == "orders"
    assert published[0].identity == "system"


def test_publish_says_who_publishes() -> None:
    with capture_published() as published:
        publish("orders", {"n": 1}, identity="alice")

    assert published[0].identity == "alice"


def test_publish_reaches_another_account_by_its_sid() -> None:
    with pytest.raises(UniqueNameNotFound):
        publish("orders", {"n": 1}, account_sid=OTHER_ACCOUNT_SID)


def test_publish_to_an_unknown_service_is_refused() -> None:
    with pytest.raises(ServiceNotFound):
        publish("orders", {"n": 1}, service="nowhere")


def test_publish_works_from_a_thread() -> None:
    def work() -> None:
        publish("orders", {"n": 1})
        connection.close()

    with capture_published() as published:
        thread = Thread(target=work)
        thread.start()
        thread.join()

    assert data_of(published) == [{"n": 1}]


def test_publish_on_commit_publishes_nothing_after_a_rollback() -> None:
    with capture_published() as published:
        with transaction.atomic():
            transaction.on_commit(partial(publish, "orders", {"n": 1}))
            transaction.set_rollback(True)
        with transaction.atomic():
            transaction.on_commit(partial(publish, "orders", {"n": 2}))

    assert data_of(published) == [{"n": 2}]


def test_publish_creates_the_stream_if_asked() -> None:
    with capture_published() as published:
        publish("new", {"n": 1}, create=True)
        publish("new", {"n": 2}, create=True)
        with pytest.raises(UniqueNameNotFound):
            publish("other", {"n": 3})
        with pytest.raises(InvalidUniqueName):
            publish("..", {"n": 4}, create=True)
        with pytest.raises(StreamNotFound):
            publish("TO" + "0" * 32, {"n": 5}, create=True)

    assert data_of(published) == [{"n": 1}, {"n": 2}]
    assert Stream.objects.filter(unique_name="new").count() == 1


async def test_publish_creates_the_stream_from_async_code() -> None:
    with capture_published() as published:
        await apublish("new", {"n": 1}, create=True, identity="alice")
        with pytest.raises(UniqueNameNotFound):
            await apublish("other", {"n": 2})

    assert data_of(published) == [{"n": 1}]
    stream = await Stream.objects.aget(unique_name="new")
    assert stream.created_by == "alice"


def test_publishers_that_create_one_stream_at_once_all_publish() -> None:
    def work(number: int) -> None:
        publish("new", {"n": number}, create=True)
        connection.close()

    with capture_published() as published:
        threads = [Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(one.message.data["n"] for one in published) == [0, 1, 2, 3]


def given_up() -> dict[str, object]:
    samples = [list(sample) for sample in meters.samples()]
    return {
        str(labels[0]): value
        for name, labels, value in samples
        if name == "publishes_given_up" and isinstance(labels, list)
    }


def grown(before: dict[str, object], code: str) -> int:
    now, then = given_up().get(code, 0), before.get(code, 0)
    assert isinstance(now, int)
    assert isinstance(then, int)
    return now - then


def test_try_publish_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    before = given_up()
    with capture_published() as published:
        sent = try_publish("orders", {"n": 1})
        missed = try_publish("nowhere", {"secret": "data"})
        broken = try_publish("orders", {"when": object()})
        unnamed = try_publish(None, {})  # type: ignore[arg-type] # a fault of a host

    assert sent is not None
    assert (missed, broken, unnamed) == (None, None, None)
    assert data_of(published) == [{"n": 1}]
    assert [grown(before, code) for code in ("54300", "54008", "failed")] == [1, 1, 1]
    assert "not published to 'nowhere': 54300" in caplog.text
    assert "secret" not in caplog.text


async def test_try_publish_never_raises_in_async_code() -> None:
    before = given_up()

    assert await atry_publish("orders", {"n": 1}) is not None
    assert await atry_publish("nowhere", {"n": 1}) is None
    assert try_publish("orders", {"n": 1}) is None  # the wrong twin: no exception
    assert [grown(before, code) for code in ("54300", "failed")] == [1, 1]


def test_publish_on_commit_waits_for_the_commit() -> None:
    with capture_published() as published:
        with transaction.atomic():
            publish_on_commit("orders", {"n": 1})
            assert published == []
        with transaction.atomic():
            publish_on_commit("orders", {"n": 2})
            transaction.set_rollback(True)
        publish_on_commit("orders", {"n": 3}, identity="alice")

    assert data_of(published) == [{"n": 1}, {"n": 3}]
    assert published[1].identity == "alice"


def test_a_publish_on_commit_that_fails_harms_nothing() -> None:
    before, after_it = given_up(), []
    with transaction.atomic():
        publish_on_commit("nowhere", {"n": 1})
        publish_on_commit("new", {"n": 1}, create=True)
        transaction.on_commit(lambda: after_it.append(True))

    assert after_it == [True]
    assert grown(before, "54300") == 1
    assert Stream.objects.filter(unique_name="new").exists()


def test_publish_on_commit_follows_the_given_database() -> None:
    with pytest.raises(ConnectionDoesNotExist):
        publish_on_commit("orders", {"n": 1}, using="elsewhere")


async def test_publish_from_async_code_names_its_twin() -> None:
    await apublish("orders", {"n": 1})

    with pytest.raises(SynchronousOnlyOperation):
        # Cached lookups are valid only while a hub receives; here the database refuses.
        publish("orders", {"n": 2})


async def test_every_way_to_publish_reaches_a_subscriber() -> None:
    async with Subscriber("orders") as subscriber:
        await apublish("orders", {"from": "async"})
        await sync_to_async(publish)("orders", {"from": "sync"})
        await asyncio.to_thread(publish, "orders", {"from": "thread"})
        await asyncio.to_thread(async_to_sync(apublish), "orders", {"from": "loop"})
        await subscriber.publish({"from": "socket"})

        received = [await subscriber.receive() for _ in range(5)]

    publishers = ["async", "sync", "thread", "loop", "socket"]
    assert received == [{"from": publisher} for publisher in publishers]


async def test_subscriber_sees_nothing_of_other_streams() -> None:
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    await sync_to_async(operations.create_stream)(service, unique_name="other")
    async with Subscriber("orders") as subscriber:
        await apublish("other", {"n": 1})

        assert await subscriber.receive_nothing()


async def test_subscriber_to_an_unknown_stream_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        async with Subscriber("nowhere"):
            pass

    assert refusal.value.code == 54300


async def test_messages_of_a_socket_are_captured_with_their_identity() -> None:
    async with Subscriber("orders", identity="alice") as alice:
        with capture_published() as published:
            await alice.publish({"n": 1})

    assert [one.identity for one in published] == ["alice"]


def test_nothing_is_captured_afterwards() -> None:
    with capture_published() as published:
        pass
    publish("orders", {"n": 1})

    assert published == []


async def test_subscriber_goes_on_after_a_timeout_that_was_expected() -> None:
    async with Subscriber("orders") as subscriber:
        with pytest.raises(TimeoutError):
            await subscriber.receive(within=0.05)
        await apublish("orders", {"n": 1})

        assert await subscriber.receive() == {"n": 1}


async def test_subscriber_loses_nothing_by_looking_for_nothing() -> None:
    async with Subscriber("orders") as subscriber:
        await apublish("orders", {"n": 1})

        assert not await subscriber.receive_nothing()
        assert await subscriber.receive() == {"n": 1}
        assert await subscriber.receive_nothing()


async def test_subscriber_is_notified_that_its_connection_was_closed() -> None:
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    async with Subscriber("orders", identity="alice") as subscriber:
        await sync_to_async(operations.disconnect_identity)(service, "alice")

        with pytest.raises(Refused) as refusal:
            await subscriber.receive()

    assert refusal.value.code == 4007


NOWHERE = "redis://127.0.0.1:1"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


@pytest.fixture
def redis_is_away(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": PUBSUB, "CONFIG": {"hosts": [NOWHERE]}}
    }
    settings.SYNC_STREAMS = {**settings.SYNC_STREAMS, "REDIS_URL": NOWHERE}


@pytest.mark.usefixtures("redis_is_away")
def test_capture_needs_no_redis() -> None:
    with capture_published() as published:
        publish("orders", {"n": 1})

    assert data_of(published) == [{"n": 1}]
    with pytest.raises(ServiceUnavailable):
        publish("orders", {"n": 2})


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_the_work_is_committed_and_the_loss_counted() -> None:
    before = given_up()
    with transaction.atomic():
        User.objects.create(username="alice")
        publish_on_commit("orders", {"n": 1})

    assert User.objects.filter(username="alice").exists()
    assert grown(before, "20503") == 1


@pytest.mark.usefixtures("redis_is_away")
def test_publishing_in_memory_needs_no_redis() -> None:
    with in_memory(), in_memory():
        publish("orders", {"n": 1})


@pytest.mark.usefixtures("redis_is_away")
async def test_subscribers_need_no_redis_and_may_overlap() -> None:
    first, second = Subscriber("orders"), Subscriber("orders")
    await first.__aenter__()
    with capture_published() as published:
        await apublish("orders", {"n": 1})
        await second.__aenter__()
        received = [await first.receive()]
        await first.__aexit__(None, None, None)
    await apublish("orders", {"n": 2})
    received.append(await second.receive())
    await second.__aexit__(None, None, None)

    assert received == [{"n": 1}, {"n": 2}]
    assert data_of(published) == [{"n": 1}]


@pytest.mark.usefixtures("redis_is_away")
async def test_subscribers_of_one_loop_may_follow_one_another() -> None:
    for n in range(2):
        async with Subscriber("orders") as subscriber:
            await apublish("orders", {"n": n})

            assert await subscriber.receive() == {"n": n}


@pytest.mark.usefixtures("redis_is_away")
async def test_refused_subscriber_leaves_the_settings_as_they_were() -> None:
    with pytest.raises(Refused):
        async with Subscriber("nowhere"):
            pass

    with pytest.raises(ServiceUnavailable):
        await apublish("orders", {"n": 1})
