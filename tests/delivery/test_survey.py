"""Surveys of all processes: replies in time, late, and never."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer as ChannelsInMemoryLayer
from django.test import override_settings

from sync_streams.delivery.cluster import survey
from sync_streams.delivery.hooks import hooks
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from tests.delivery.hubs import MEMORY_LAYERS, hub_over

QUESTION = {"type": "test.asked"}
LONG_SECONDS = 60


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    layer = {"BACKEND": MEMORY_LAYERS["memory"], "CONFIG": {"capacity": 100}}
    async with hub_over(layer) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _remembers_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(survey, "_last_answers", {})
    monkeypatch.setattr(survey, "GATHER_SECONDS", 0.05)
    yield
    hooks.handlers.pop("test.asked", None)


def answer_after(event: asyncio.Event) -> None:
    async def answer(_: Hub, question: Any) -> None:
        await event.wait()
        await survey.reply(question, word="hello")

    hooks.handlers["test.asked"] = answer


async def test_reply_says_who_and_how_late(hub: Hub) -> None:
    now = asyncio.Event()
    now.set()
    answer_after(now)

    answers = await survey.aask(QUESTION)

    (answer,) = answers.values()
    assert list(answers) == [survey.process_name()]
    assert answer["word"] == "hello"
    assert answer["answered_ms"] >= 0
    assert survey.silent(answers) == {}


async def test_only_a_patient_survey_waits_for_a_late_process(
    hub: Hub,
) -> None:
    event = asyncio.Event()
    answer_after(event)
    survey._remember(survey.process_name(), asyncio.get_running_loop().time())

    assert await survey.aask(QUESTION) == {}
    asyncio.get_running_loop().call_later(2 * survey.GATHER_SECONDS, event.set)
    late = await survey.aask(QUESTION, is_patient=True)

    assert list(late) == [survey.process_name()]


async def test_process_that_never_answers_is_named(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "PATIENCE_SECONDS", 0.1)
    answer_after(asyncio.Event())
    survey._remember("gone:1", asyncio.get_running_loop().time() - 5)

    answers = await survey.aask(QUESTION, is_patient=True)

    assert answers == {}
    assert survey.silent(answers)["gone:1"] >= 5


async def test_process_is_forgotten_after_ten_minutes(hub: Hub) -> None:
    now = asyncio.get_running_loop().time()
    survey._remember("old:1", now - survey.REMEMBERED_SECONDS - 1)
    survey._remember("new:1", now)

    assert list(survey.silent({})) == ["new:1"]


def test_remembered_processes_are_bounded() -> None:
    for number in range(survey.MAX_REMEMBERED + 10):
        survey._remember(f"host:{number}", float(number))

    assert len(survey._last_answers) == survey.MAX_REMEMBERED
    assert "host:0" not in survey._last_answers


async def test_layer_that_fails_is_said_to_be_unavailable() -> None:
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
    }
    with (
        override_settings(CHANNEL_LAYERS={"default": layer}),
        pytest.raises(ServiceUnavailable),
    ):
        await survey.aask(QUESTION)


class Stubborn(ChannelsInMemoryLayer):
    """Ignores cancellation for a while, as the core layer of channels-redis may do."""

    async def group_send(self, group: str, message: Any) -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG_SECONDS)


async def test_layer_that_ignores_cancellation_delays_nobody_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey, "CLOSE_SECONDS", 0.05)
    layer = {"BACKEND": f"{__name__}.Stubborn"}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        async with asyncio.timeout(LONG_SECONDS):
            assert await survey.aask(QUESTION) == {}
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
