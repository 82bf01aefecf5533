"""Two sites on one Redis are isolated; foreign commands are not executed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import signing
from django.test import override_settings

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster import commands
from sync_streams.delivery.events import process_group, stream_group
from sync_streams.redis.rate_limit import rate
from sync_streams.webhooks.presence import _endpoints_key, _online_key
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import Subscriber
from tests.settings import SYNC_STREAMS

SID = "TO" + "0" * 32
DRAIN: commands.DrainCommand = {"type": "command.drain", "process": "host:1"}
DONE = {**DRAIN, "reply_to": None, "question": None}


@contextmanager
def site(*, database: str = "/db", **settings: Any) -> Iterator[None]:
    """Set up a site."""
    default = django_settings.DATABASES["default"]
    with (
        pytest.MonkeyPatch.context() as patch,
        override_settings(**{"SYNC_STREAMS": SYNC_STREAMS, **settings}),
    ):
        # Django does not support overriding DATABASES.
        patch.setitem(default, "NAME", database)
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


def names() -> set[str]:
    """Return all names of a site in Redis."""
    keys = rate(SID)[0], _online_key("IS0"), _endpoints_key("IS0", "alice")
    return {process_group(), stream_group(SID), *keys}


def on(url: str, **values: str) -> dict[str, Any]:
    return {**SYNC_STREAMS, "REDIS_URL": url, **values}


@pytest.mark.parametrize(
    "other",
    [
        {"SECRET_KEY": "another"},
        {"SYNC_STREAMS": on("redis://one:6379/1")},
        {"database": "/another"},
        {"SYNC_STREAMS": on("redis://one:6379/0", PREFIX="staging")},
    ],
    ids=["secret", "number of the database in Redis", "database", "prefix"],
)
def test_sites_that_differ_share_no_name(other: dict[str, Any]) -> None:
    first: dict[str, Any] = {
        "SYNC_STREAMS": on("redis://one:6379/0"),
        "SECRET_KEY": "one",
    }
    with site(**first):
        ours = names()
    with site(**{**first, **other}):
        theirs = names()
    with site(**first):
        again = names()

    assert not ours & theirs
    assert ours == again


def test_processes_that_reach_redis_at_different_addresses_are_one_site() -> None:
    found = []
    for url in ("redis://one:6379/0", "rediss://user:secret@two:6380/0"):
        with site(SYNC_STREAMS=on(url), SECRET_KEY="one"):
            found.append(names())

    assert found[0] == found[1]


def test_a_prefix_shows_no_secret() -> None:
    with site(SECRET_KEY="the-secret-key"):
        assert "secret" not in get_settings().prefix


@pytest.mark.redis
async def test_a_message_of_one_site_does_not_reach_another(
    redis_url: str, new_layer: NewLayer
) -> None:
    layers = [new_layer(redis_url), new_layer(redis_url.replace("/0", "/1"))]
    groups = []
    for number in range(2):
        with site(SYNC_STREAMS=on(f"redis://one/{number}")):
            groups.append(stream_group(SID))
    async with (
        Subscriber(layers[0], groups[0]) as here,
        Subscriber(layers[1], groups[1]) as there,
    ):
        for number in range(2):
            await layers[number].group_send(groups[number], {"n": number})
        await here.until(1)
        await there.until(1)

    assert (here.numbers, there.numbers) == ([0], [1])


async def carried_out(event: dict[str, Any]) -> list[Any]:
    """Return those of the received commands that are carried out."""
    done: list[Any] = []

    async def handle(_: object, command: Any) -> None:
        done.append(command)

    await commands.authenticated(handle)(object(), event)
    return done


async def test_a_command_of_this_site_is_carried_out() -> None:
    assert await carried_out(commands.signed(DRAIN)) == [DONE]


@pytest.mark.parametrize(
    "forge",
    [
        lambda event: dict(DRAIN),
        lambda event: {**event, "signed": event["signed"][:-1] + "x"},
        lambda event: {**event, "signed": None},
        lambda event: {**event, "signed": 7},
        lambda event: {**event, "type": "command.disconnect"},
        lambda event: {**event, "signed": signing.dumps([1], salt=commands._salt())},
    ],
    ids=["unsigned", "altered", "none", "number", "another", "no command"],
)
async def test_a_forged_command_is_refused_and_logged(
    forge: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await carried_out(forge(commands.signed(DRAIN))) == []
    assert "was refused: not signed by this site" in caplog.text


async def test_a_command_of_another_site_is_refused() -> None:
    with site(SECRET_KEY="another", SYNC_STREAMS=SYNC_STREAMS):
        theirs = commands.signed(DRAIN)
    with site(SYNC_STREAMS={**SYNC_STREAMS, "PREFIX": "staging"}):
        staged = commands.signed(DRAIN)

    assert await carried_out(theirs) == await carried_out(staged) == []


async def test_a_command_that_was_recorded_holds_for_a_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = commands.signed(DRAIN)
    clock = time.time() + commands.MAX_AGE_SECONDS

    monkeypatch.setattr(time, "time", lambda: clock - 1)
    assert await carried_out(event) == [DONE]
    monkeypatch.setattr(time, "time", lambda: clock + 1)
    assert await carried_out(event) == []


async def test_a_secret_key_may_be_changed_while_processes_run() -> None:
    prefix = {**SYNC_STREAMS, "PREFIX": "site"}
    with override_settings(SECRET_KEY="old", SYNC_STREAMS=prefix):
        event = commands.signed(DRAIN)
    with override_settings(
        SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"], SYNC_STREAMS=prefix
    ):
        assert await carried_out(event) == [DONE]
