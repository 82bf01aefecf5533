"""Operations: visibility, expiry and announcements."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from sync_streams import operations
from sync_streams.errors import (
    AccessForbidden,
    DataTooLarge,
    InvalidMessageData,
    InvalidTtl,
    InvalidUniqueName,
    RateLimited,
    ServiceNotFound,
    ServiceUnavailable,
    StreamNotFound,
    UniqueNameNotFound,
    UniqueNameTaken,
)
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.announcements import MAX_FAILURES
from tests.core.conftest import Announced
from tests.logs import lines_of
from tests.settings import ACCOUNT_SID, OTHER_ACCOUNT_SID

pytestmark = pytest.mark.django_db(transaction=True)

Action = Callable[[], object]
MISSING_SID = "TO" + "0" * 32
FLAKY_LAYER = {"default": {"BACKEND": "tests.core.layers.FlakyLayer"}}
DEAF_LAYER = {"default": {"BACKEND": "tests.core.layers.FailingLayer"}}


def expire(stream: Stream, ago: timedelta = timedelta(microseconds=1)) -> None:
    Stream.objects.filter(sid=stream.sid).update(date_expires=timezone.now() - ago)


def test_the_default_service_is_created_once() -> None:
    first = operations.get_service(ACCOUNT_SID, "default")

    assert operations.get_service(ACCOUNT_SID, "default") == first
    assert operations.get_service(ACCOUNT_SID, first.sid) == first
    assert operations.get_service(OTHER_ACCOUNT_SID, "default") != first


@pytest.mark.parametrize("ref", ["", "x", "\0", "\ud800", "IS" + "0" * 32], ids=ascii)
def test_a_service_that_is_not_there_is_not_found(ref: str) -> None:
    with pytest.raises(ServiceNotFound):
        operations.get_service(ACCOUNT_SID, ref)


def test_another_account_does_not_see_a_service(service: Service) -> None:
    with pytest.raises(ServiceNotFound):
        operations.get_service(OTHER_ACCOUNT_SID, service.sid)

    assert not operations.list_services(OTHER_ACCOUNT_SID).exists()


def is_gone(stream: Stream, service: Service) -> bool:
    """Ask a Service for a Stream in every way; each must report that there is none."""
    for ref, error in [("news", UniqueNameNotFound), (stream.sid, StreamNotFound)]:
        with pytest.raises(error):
            operations.get_stream(service, ref)
        with pytest.raises(error):
            operations.publish(service, ref, {})
        for ttl in (0, 1):
            with pytest.raises(error):
                operations.update_stream(service, ref, ttl=ttl)
        with pytest.raises(error):
            operations.remove_stream(service, ref)
    return not operations.list_streams(service).exists()


def test_a_service_does_not_see_the_streams_of_another(stream: Stream) -> None:
    other = operations.create_service(ACCOUNT_SID)

    assert is_gone(stream, other)


def test_two_services_may_use_one_name(stream: Stream) -> None:
    other = operations.create_service(ACCOUNT_SID)

    assert operations.create_stream(other, unique_name="news") != stream


def test_a_name_is_taken_once(stream: Stream, service: Service) -> None:
    with pytest.raises(UniqueNameTaken):
        operations.create_stream(service, unique_name="news")


def test_names_differ_by_case_and_by_accent(stream: Stream, service: Service) -> None:
    for name in ["News", "n\u00e9ws", "ne\u0301ws", "news "]:
        operations.create_stream(service, unique_name=name)
        assert operations.get_stream(service, name).unique_name == name


def test_any_number_of_streams_may_have_no_name(service: Service) -> None:
    streams = [operations.create_stream(service) for _ in range(3)]

    assert [stream.unique_name for stream in streams] == [None] * 3
    assert list(operations.list_streams(service)) == streams


def test_a_name_like_a_sid_is_refused(service: Service) -> None:
    with pytest.raises(InvalidUniqueName):
        operations.create_stream(service, unique_name=MISSING_SID)


@pytest.mark.parametrize("ref", ["x", "\0", "a\0", "\ud800", ""], ids=ascii)
def test_a_name_that_is_not_there_is_not_found(service: Service, ref: str) -> None:
    with pytest.raises(UniqueNameNotFound):
        operations.get_stream(service, ref)


def test_a_sid_that_is_not_there_is_not_found(service: Service) -> None:
    with pytest.raises(StreamNotFound):
        operations.get_stream(service, MISSING_SID)


def test_an_expired_stream_is_gone_at_once(service: Service, stream: Stream) -> None:
    expire(stream)

    assert is_gone(stream, service)


def test_the_name_of_an_expired_stream_is_free(
    service: Service, stream: Stream, announced: Announced
) -> None:
    expire(stream)

    again = operations.create_stream(service, unique_name="news")

    assert again.sid != stream.sid
    assert announced == [("removed", "news"), ("created", "news")]


def test_a_stream_expires_on_time(service: Service) -> None:
    stream = operations.create_stream(service, ttl=60)
    assert stream.date_expires is not None
    tick = timedelta(microseconds=1)

    assert stream.is_live(stream.date_expires - tick)
    assert not stream.is_live(stream.date_expires)
    assert operations.expire_streams(stream.date_expires - tick) == 0
    assert operations.expire_streams(stream.date_expires) == 1


def test_a_new_ttl_counts_from_now(service: Service, announced: Announced) -> None:
    stream = operations.create_stream(service, unique_name="news", ttl=60)

    updated = operations.update_stream(service, stream.sid, ttl=600)

    assert updated.date_expires is not None
    left = updated.date_expires - timezone.now()
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)
    assert updated.date_updated > stream.date_updated
    assert announced == [("created", "news"), ("updated", "news")]


def test_a_stream_with_a_ttl_of_0_never_expires(service: Service) -> None:
    operations.create_stream(service, unique_name="news", ttl=60)

    operations.update_stream(service, "news", ttl=0)

    assert operations.get_stream(service, "news").date_expires is None


def test_no_ttl_changes_nothing(service: Service, announced: Announced) -> None:
    before = operations.create_stream(service, unique_name="news", ttl=60)

    operations.update_stream(service, "news")

    after = operations.get_stream(service, "news")
    assert after.date_expires == before.date_expires
    assert after.date_updated == before.date_updated
    assert announced == [("created", "news")]


@pytest.mark.parametrize("ttl", [-1, 31_536_001])
def test_a_bad_ttl_changes_nothing(service: Service, stream: Stream, ttl: int) -> None:
    with pytest.raises(InvalidTtl):
        operations.update_stream(service, "news", ttl=ttl)

    assert operations.get_stream(service, "news").date_expires is None


def test_a_removed_stream_is_gone_and_announced_once(
    service: Service, stream: Stream, announced: Announced
) -> None:
    operations.remove_stream(service, "news")

    with pytest.raises(UniqueNameNotFound):
        operations.remove_stream(service, "news")
    with pytest.raises(StreamNotFound):
        operations.remove_stream(service, stream.sid)
    assert announced == [("removed", "news")]


def test_removing_a_service_removes_and_announces_its_streams(
    announced: Announced,
) -> None:
    service = operations.create_service(ACCOUNT_SID)
    other = operations.create_service(ACCOUNT_SID)
    for name in ["a", "b"]:
        operations.create_stream(service, unique_name=name)
    kept = operations.create_stream(other, unique_name="c")
    announced.clear()

    operations.remove_service(service)

    assert sorted(announced) == [("removed", "a"), ("removed", "b")]
    assert list(Stream.objects.all()) == [kept]
    with pytest.raises(ServiceNotFound):
        operations.get_service(ACCOUNT_SID, service.sid)


def test_a_service_that_was_removed_meanwhile_is_not_found(service: Service) -> None:
    gone = Service.objects.get(sid=service.sid)
    operations.remove_service(service)

    with pytest.raises(ServiceNotFound):
        operations.remove_service(gone)
    with pytest.raises(ServiceNotFound):
        operations.update_service(gone, acl_enabled=True)
    with pytest.raises(ServiceNotFound):
        operations.create_stream(gone, unique_name="a")


def test_nothing_is_announced_after_a_rollback(
    service: Service, announced: Announced
) -> None:
    class Changed(Exception):
        pass

    def change_and_fail() -> None:
        with transaction.atomic():
            operations.create_stream(service, unique_name="news")
            operations.update_stream(service, "news", ttl=60)
            operations.remove_stream(service, "news")
            raise Changed

    with pytest.raises(Changed):
        change_and_fail()

    assert announced == []


def test_a_change_is_kept_although_the_layer_fails(
    service: Service, stream: Stream, announced: Announced
) -> None:
    with override_settings(CHANNEL_LAYERS=DEAF_LAYER):
        operations.update_stream(service, "news", ttl=60)
        operations.remove_stream(service, "news")

    assert announced == [("updated", "news"), ("removed", "news")]


def test_a_layer_that_fails_is_not_waited_for_by_each_removed_stream(
    service: Service, announced: Announced, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10):
        operations.create_stream(service, unique_name=str(number))
    announced.clear()

    with override_settings(CHANNEL_LAYERS=DEAF_LAYER):
        operations.remove_service(service)

    assert sorted(announced) == [("removed", str(number)) for number in range(10)]
    lines = lines_of("sync_streams.operations.announcements", caplog)
    assert [line.partition(" (")[0] for line in lines] == [
        "service.changed was not broadcast",
        *["stream.removed was not broadcast"] * MAX_FAILURES,
        f"stream.removed of {10 - MAX_FAILURES} more Streams was not broadcast",
    ]


def test_streams_removed_while_the_layer_fails_now_and_then_are_all_broadcast(
    service: Service, stream: Stream
) -> None:
    for number in range(9):
        expire(operations.create_stream(service, unique_name=str(number), ttl=60))

    with override_settings(CHANNEL_LAYERS=FLAKY_LAYER):
        assert operations.expire_streams() == 9
        layer: Any = get_channel_layer()

    assert layer.offered == ["stream.removed"] * 9


def test_a_message_is_not_published_when_the_layer_fails(
    service: Service, stream: Stream
) -> None:
    with (
        override_settings(CHANNEL_LAYERS=DEAF_LAYER),
        pytest.raises(ServiceUnavailable),
    ):
        operations.publish(service, "news", {})


async def test_a_message_is_not_published_from_async_code_when_the_layer_fails(
    service: Service, stream: Stream
) -> None:
    with (
        override_settings(CHANNEL_LAYERS=DEAF_LAYER),
        pytest.raises(ServiceUnavailable),
    ):
        await operations.apublish(service, "news", {})


def test_the_31st_message_of_a_second_is_refused(
    service: Service, stream: Stream
) -> None:
    limits = {"PUBLISH_WINDOW_SECONDS": 600, "PUBLISH_RATE": 30 / 600}
    with override_settings(SYNC_STREAMS=limits):
        for number in range(30):
            operations.publish(service, "news", {"n": number})
        with pytest.raises(RateLimited, match=stream.sid):
            operations.publish(service, stream.sid, {"n": 30})


def test_a_recreated_stream_keeps_the_remaining_rate_of_its_name(
    service: Service, stream: Stream
) -> None:
    limits = {"PUBLISH_WINDOW_SECONDS": 600, "PUBLISH_RATE": 30 / 600}
    with override_settings(SYNC_STREAMS=limits):
        again = stream
        for number in range(30):
            operations.publish(service, "news", {"n": number})
            operations.remove_stream(service, again.sid)
            again = operations.create_stream(service, unique_name="news")
        with pytest.raises(RateLimited, match=again.sid):
            operations.publish(service, "news", {})
        operations.create_stream(service, unique_name="other")
        operations.publish(service, "other", {})
        unnamed = operations.create_stream(service)
        operations.publish(service, unnamed.sid, {})


def test_a_bad_message_spends_no_rate(service: Service, stream: Stream) -> None:
    limits = {"PUBLISH_WINDOW_SECONDS": 600, "PUBLISH_RATE": 1 / 600}
    with override_settings(SYNC_STREAMS=limits):
        with pytest.raises(InvalidMessageData):
            operations.publish(service, "news", None)
        with pytest.raises(DataTooLarge):
            operations.publish(service, "news", {"a": "x" * 5_000})
        operations.publish(service, "news", {})


@pytest.mark.parametrize("action", ["create", "update", "remove", "publish"])
def test_a_read_only_identity_changes_nothing(
    service: Service, stream: Stream, action: str
) -> None:
    actor = Actor("bob", "connection", is_read_only=True)
    actions: dict[str, Action] = {
        "create": lambda: operations.create_stream(service, actor=actor),
        "update": lambda: operations.update_stream(service, "news", actor=actor),
        "remove": lambda: operations.remove_stream(service, "news", actor=actor),
        "publish": lambda: operations.publish(service, "news", {}, actor=actor),
    }

    with pytest.raises(AccessForbidden):
        actions[action]()

    assert list(operations.list_streams(service)) == [stream]


def test_a_stream_remembers_who_created_it(service: Service) -> None:
    by_bob = operations.create_stream(service, actor=Actor("bob", "connection"))

    assert operations.get_stream(service, by_bob.sid).created_by == "bob"
    assert operations.create_stream(service).created_by == "system"
