"""Publishing without waiting: when it is done, and when it is left to the task."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from sync_streams import operations, signals
from sync_streams.cache import lookups
from sync_streams.delivery.hub import get_hub
from sync_streams.errors import AccessForbidden, InvalidJSON, RateLimited
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from tests.delivery.client import Client
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID
from tests.websocket.client import Socket


def say_no(*_: object) -> bool:
    return False


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Stream]:
    """A Stream that this process has just looked up."""
    lookups.forget_all()
    await get_hub().start()
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    create = sync_to_async(operations.create_stream)
    stream = await create(service, unique_name="news")
    await operations.apublish(service, "news", {})
    yield stream
    lookups.forget_all()


async def test_a_known_stream_needs_no_waiting(news: Stream) -> None:
    async with Socket() as socket:
        await socket.ask("subscribe", stream="news")

        message = operations.publish_now(news.service, "news", {"n": 1})

        assert message is not None
        assert await socket.numbers(1) == [1]


async def test_errors_are_reported_as_usual(news: Stream) -> None:
    with pytest.raises(InvalidJSON):
        operations.publish_now(news.service, "news", [])
    actor = Actor("alice", "1", is_read_only=True)
    with pytest.raises(AccessForbidden):
        operations.publish_now(news.service, "news", {}, actor=actor)
    with (
        sync_settings(publish_rate=1 / 600, publish_window_seconds=600),
        pytest.raises(RateLimited),
    ):
        operations.publish_now(news.service, "news", {})


async def test_an_unknown_stream_is_left_to_others(news: Stream) -> None:
    assert operations.publish_now(news.service, "missing", {}) is None
    lookups.forget_all()
    assert operations.publish_now(news.service, "news", {}) is None


async def test_a_hook_that_decides_is_left_to_others(news: Stream) -> None:
    with sync_settings(authorize=say_no):
        actor = Actor("alice", "1")
        assert operations.publish_now(news.service, "news", {}, actor=actor) is None
        assert operations.publish_now(news.service, "news", {}) is not None


async def test_receivers_and_other_layers_are_left_to_others(
    news: Stream, settings: Settings
) -> None:
    def receive(**_: Any) -> None: ...

    signals.message_published.connect(receive)
    try:
        assert operations.publish_now(news.service, "news", {}) is None
    finally:
        signals.message_published.disconnect(receive)
    with sync_settings(redis_url="redis://127.0.0.1:1"):
        assert operations.publish_now(news.service, "news", {}) is None
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    }
    assert operations.publish_now(news.service, "news", {}) is None


async def test_what_would_be_too_much_at_once_waits_and_spends_nothing(
    news: Stream, service: Service
) -> None:
    async with Socket() as socket:
        await socket.ask("subscribe", stream="news")
        with sync_settings(publish_rate=1_000):
            numbers = range(200)
            left = [
                number
                for number in numbers
                if operations.publish_now(news.service, "news", {"n": number}) is None
            ]

            assert left
            for number in left:
                await operations.apublish(news.service, "news", {"n": number})

        assert await socket.numbers(200) == list(numbers)


async def test_the_hub_keeps_up_with_many_publishers(
    news: Stream, service: Service
) -> None:
    client, count, at_once = Client(frame_path=True), 960, 48
    await get_hub().subscriptions.subscribe(client.outbox, news.sid, None)

    with sync_settings(publish_rate=10_000):
        for number in range(count):
            assert operations.publish_now(service, "news", {"n": number})
            if number % at_once == at_once - 1:
                await asyncio.sleep(0)
    await client.until(count)

    assert client.numbers == list(range(count))


@pytest.fixture
def service(news: Stream) -> Service:
    return news.service
