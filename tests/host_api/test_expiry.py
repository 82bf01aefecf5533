"""Expired Streams: gone on time, announced once, removed by one sweeper."""

import asyncio
import time
import tracemalloc
from datetime import timedelta

import pytest
from django.utils import timezone

from sync_streams import operations, signals
from sync_streams.errors import UniqueNameNotFound
from sync_streams.models import Service, Stream
from sync_streams.operations import sweeper
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite
from tests.settings import ACCOUNT_SID

MANY = 10_000


def create_expired(service: Service, count: int) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Stream.objects.bulk_create(
        [
            Stream(
                service=service,
                account_sid=ACCOUNT_SID,
                unique_name=f"expired-{number}",
                date_expires=past,
            )
            for number in range(count)
        ],
        batch_size=1000,
    )


async def test_subscribers_are_notified_once_and_within_two_seconds(
    embedded: DemoSite,
) -> None:
    created = await asyncio.to_thread(post, embedded, "/default/Streams")
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=created["sid"])
        path = f"/default/Streams/{created['sid']}"
        asked = time.monotonic()
        await asyncio.to_thread(post, embedded, path, Ttl=1)
        moment = time.monotonic() + 1

        removed = await socket.receive()

        now = time.monotonic()
        assert removed == {"type": "stream_removed", "stream_sid": created["sid"]}
        assert asked + 0.5 < now < moment + 5
        # The sweeper's own announcement comes at most 7.5 seconds after the moment.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 8)


async def test_a_longer_ttl_reaches_the_hub(embedded: DemoSite) -> None:
    created = await asyncio.to_thread(post, embedded, "/default/Streams", Ttl=3)
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=created["sid"])
        path = f"/default/Streams/{created['sid']}"
        await asyncio.to_thread(post, embedded, path, Ttl=60)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 3.5)


@pytest.mark.django_db(transaction=True)
def test_expired_stream_is_gone_and_its_name_free_before_any_sweep(
    service: Service,
) -> None:
    create_expired(service, 1)

    with pytest.raises(UniqueNameNotFound):
        operations.publish(service, "expired-0", {"a": 1})
    with pytest.raises(UniqueNameNotFound):
        operations.get_stream(service, "expired-0")
    assert operations.create_stream(service, unique_name="expired-0").is_live()


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_streams_expire_in_constant_memory(service: Service) -> None:
    removed: list[str] = []

    def note(stream: Stream, **_: object) -> None:
        removed.append(stream.sid)

    create_expired(service, operations.EXPIRY_BATCH)
    peak_of_one_batch = peak_of_sweep()
    create_expired(service, MANY)
    signals.stream_removed.connect(note)
    try:
        peak = peak_of_sweep()
    finally:
        signals.stream_removed.disconnect(note)

    assert len(removed) == len(set(removed)) == MANY
    assert not Stream.objects.exists()
    # 100 bytes for each SID that this test keeps.
    assert peak < 1.5 * peak_of_one_batch + 100 * MANY


def peak_of_sweep() -> int:
    tracemalloc.start()
    try:
        operations.expire_streams()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("interval", [0.2, 5])
def test_pauses_of_sweepers_have_jitter(interval: float) -> None:
    pauses = {sweeper.pause(interval) for _ in range(100)}

    assert len(pauses) > 1
    assert all(interval / 2 <= pause <= interval * 1.5 for pause in pauses)
