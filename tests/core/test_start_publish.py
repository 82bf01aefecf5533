"""Starting to publish without waiting: when that is done, and when left to tasks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django import Settings

from sync_streams import operations, signals
from sync_streams.cache import lookups
from sync_streams.delivery.hub import get_hub
from sync_streams.errors import AccessForbidden, InvalidJSON, RateLimited
from sync_streams.models import Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.data import Message
from tests.clients.json_socket import LocalSocket
from tests.delivery.client import Client
from tests.overrides import sync_settings
from tests.streams import uncached_stream


class Outcomes:
    """The reported outcomes of started publishes."""

    def __init__(self) -> None:
        self.told: list[tuple[Message, Exception | None]] = []

    def start(self, stream: Stream, data: object, **options: Any) -> bool:
        """Start to publish to a Stream by its name, if that needs no waiting."""
        name = options.pop("name", "news")
        return operations.start_publish(
            stream.service, name, data, self.tell, **options
        )

    def tell(self, message: Message, error: Exception | None) -> None:
        self.told.append((message, error))


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def say_no(*_: object) -> bool:
    return False


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Stream]:
    """A Stream that this process has just looked up."""
    async with uncached_stream() as stream:
        await get_hub().start()
        await operations.apublish(stream.service, "news", {})
        yield stream


async def test_a_known_stream_needs_no_waiting(
    news: Stream, outcomes: Outcomes
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")

        assert outcomes.start(news, {"n": 1})

        assert [(m.data, error) for m, error in outcomes.told] == [({"n": 1}, None)]
        assert await socket.numbers(1) == [1]


async def test_errors_are_raised_before_it_starts_and_told_afterwards(
    news: Stream, outcomes: Outcomes
) -> None:
    with pytest.raises(InvalidJSON):
        outcomes.start(news, [])
    assert outcomes.told == []
    with sync_settings(publish_rate=1 / 600, publish_window_seconds=600):
        assert outcomes.start(news, {})
    assert [type(error) for _, error in outcomes.told] == [RateLimited]


async def test_an_unknown_stream_is_left_to_apublish(
    news: Stream, outcomes: Outcomes
) -> None:
    assert not outcomes.start(news, {}, name="missing")
    lookups.forget_all()
    assert not outcomes.start(news, {})
    assert outcomes.told == []


async def test_a_read_only_actor_is_left_to_apublish_which_refuses(
    news: Stream, outcomes: Outcomes
) -> None:
    actor = Actor("alice", "1", is_read_only=True)
    assert not outcomes.start(news, {}, actor=actor)
    with pytest.raises(AccessForbidden):
        await operations.apublish(news.service, "news", {}, actor=actor)
    assert outcomes.told == []


async def test_a_permission_hook_is_left_to_apublish(
    news: Stream, outcomes: Outcomes
) -> None:
    with sync_settings(authorize=say_no):
        actor = Actor("alice", "1")
        assert not outcomes.start(news, {}, actor=actor)
        assert outcomes.start(news, {})


async def test_receivers_and_other_layers_are_left_to_apublish(
    news: Stream, outcomes: Outcomes, settings: Settings
) -> None:
    def receive(**_: Any) -> None: ...

    signals.message_published.connect(receive)
    try:
        assert not outcomes.start(news, {})
    finally:
        signals.message_published.disconnect(receive)
    with sync_settings(redis_url="redis://127.0.0.1:1"):
        assert not outcomes.start(news, {})
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    }
    assert not outcomes.start(news, {})


async def test_an_excessive_burst_waits_and_spends_nothing(
    news: Stream, outcomes: Outcomes
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        with sync_settings(publish_rate=1_000):
            numbers = range(200)
            left = [
                number for number in numbers if not outcomes.start(news, {"n": number})
            ]

            assert left
            assert len(outcomes.told) == len(numbers) - len(left)
            for number in left:
                await operations.apublish(news.service, "news", {"n": number})

        assert await socket.numbers(200) == list(numbers)


async def test_the_hub_keeps_up_with_many_publishers(
    news: Stream, outcomes: Outcomes
) -> None:
    client, count, at_once = Client(frame_path=True), 1280, 64
    await get_hub().subscriptions.subscribe(client.outbox, news.sid, None)

    with sync_settings(publish_rate=10_000):
        for number in range(count):
            assert outcomes.start(news, {"n": number})
            if number % at_once == at_once - 1:
                await asyncio.sleep(0)
    await client.until(count)

    assert client.numbers == list(range(count))
