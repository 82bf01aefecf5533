"""System checks: one test for each id, and none of them on a good site."""

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

MEMORY = "channels.layers.InMemoryChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
SECRET = "x" * 32
ACCOUNT_SID, KEY_SID = "AC" + "1" * 32, "SK" + "1" * 32
ACCOUNT = {"AUTH_TOKEN": SECRET, "API_KEYS": {KEY_SID: SECRET}}


def found(*, deploy: bool = False) -> set[str | None]:
    messages = run_checks(tags=["sync_streams"], include_deployment_checks=deploy)
    return {message.id for message in messages}


def layer(backend: str, **config: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "CONFIG": config}}


def test_a_good_site_has_nothing_to_mend(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://127.0.0.1:1"])
    settings.SYNC_STREAMS = {
        "ACCOUNTS": {ACCOUNT_SID: ACCOUNT},
        "REDIS_URL": "redis://127.0.0.1:1",
    }

    assert found(deploy=True) == set()


@pytest.mark.parametrize(
    ("values", "check_id"),
    [
        ({"PUBLISH_RAT": 30}, "sync_streams.E001"),
        ({"PUBLISH_RATE": "30"}, "sync_streams.E002"),
        ({"PUBLISH_RATE": -1}, "sync_streams.E002"),
        ({"ACCOUNTS": {"AC1": ACCOUNT}}, "sync_streams.E003"),
        (
            {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": {"key": SECRET}}}},
            "sync_streams.E003",
        ),
        (
            {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, "AUTH_TOKEN": ""}}},
            "sync_streams.E004",
        ),
        ({"ACCOUNTS": "no.such.function"}, "sync_streams.E001"),
        ({"AUTHORIZE": "tests.service.hooks.no_such_hook"}, "sync_streams.E005"),
        ({"AUTHORIZE": "tests.service.hooks.asked"}, "sync_streams.E005"),
        ({"WEBHOOK_SENDER": "no.such.module"}, "sync_streams.E005"),
        ({"WEBHOOK_SENDER": True}, "sync_streams.E005"),
        ({"REDIS_URL": "sentinel://127.0.0.1:26379"}, "sync_streams.E006"),
        ({"REDIS_URL": "sentinel://127.0.0.1:many/mymaster"}, "sync_streams.E006"),
        ({"REDIS_URL": "127.0.0.1:6379"}, "sync_streams.E006"),
    ],
)
def test_a_wrong_setting_is_an_error(
    settings: Settings, values: dict[str, Any], check_id: str
) -> None:
    settings.SYNC_STREAMS = values

    assert found() == {check_id}


@pytest.mark.parametrize("hook", ["tests.service.hooks.denying", print])
def test_a_hook_is_a_function_or_its_path(settings: Settings, hook: object) -> None:
    settings.SYNC_STREAMS = {"AUTHORIZE": hook, "WEBHOOK_SENDER": hook}

    assert found() == set()


@pytest.mark.parametrize(
    "url",
    [
        "hidden",
        "redis://:hidden/1@127.0.0.1:6379/0",
        "sentinel://:hidden@127.0.0.1:26379",
        "sentinel://127.0.0.1:hidden/mymaster",
        "sentinel://127.0.0.1:26379/mymaster/hidden",
    ],
)
def test_an_address_that_cannot_be_read_is_not_quoted(
    settings: Settings, url: str
) -> None:
    settings.SYNC_STREAMS = {"REDIS_URL": url}

    (message,) = run_checks(tags=["sync_streams"])

    assert message.id == "sync_streams.E006"
    assert "hidden" not in message.msg


def test_an_unknown_key_is_told_with_the_nearest_one(settings: Settings) -> None:
    settings.SYNC_STREAMS = {"PUBLISH_RAT": 30}

    (message,) = run_checks(tags=["sync_streams"])

    assert "Did you mean PUBLISH_RATE?" in message.msg


def test_a_site_without_a_layer_is_an_error(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {}

    assert found() == {"sync_streams.E001"}


@pytest.mark.parametrize(("capacity", "is_told"), [(999, True), (1000, False)])
def test_a_layer_that_drops_early_is_told(
    settings: Settings, capacity: int, is_told: bool
) -> None:
    settings.CHANNEL_LAYERS = layer(MEMORY, capacity=capacity)

    assert ("sync_streams.W001" in found()) is is_told


@pytest.mark.parametrize(("seconds", "is_told"), [(7199, True), (7200, False)])
def test_a_layer_that_forgets_groups_early_is_told(
    settings: Settings, seconds: int, is_told: bool
) -> None:
    config = {"hosts": ["redis://127.0.0.1:1"], "capacity": 5000}
    settings.CHANNEL_LAYERS = layer(CORE, **config, group_expiry=seconds)

    assert ("sync_streams.W002" in found()) is is_told


def test_the_core_layer_drops_early_by_default_and_forgets_late(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = layer(CORE, hosts=["redis://127.0.0.1:1"])

    assert found() == {"sync_streams.W001"}


def test_deployment_wants_a_layer_that_processes_share(
    settings: Settings,
) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: ACCOUNT}}

    assert found(deploy=True) == {"sync_streams.W003"}


def test_deployment_wants_a_rate_that_processes_share(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://127.0.0.1:1"])
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: ACCOUNT}}

    assert found(deploy=True) == {"sync_streams.W004"}


def test_deployment_wants_an_account(settings: Settings) -> None:
    settings.SYNC_STREAMS = {}

    assert "sync_streams.W005" in found(deploy=True)


@pytest.mark.parametrize(("length", "is_told"), [(31, True), (32, False)])
def test_deployment_wants_long_secrets(
    settings: Settings, length: int, is_told: bool
) -> None:
    account = {"AUTH_TOKEN": SECRET, "API_KEYS": {KEY_SID: "x" * length}}
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: account}}

    assert ("sync_streams.W006" in found(deploy=True)) is is_told


def test_deployment_wants_no_debug_and_a_secret_key(settings: Settings) -> None:
    settings.DEBUG, settings.SECRET_KEY = True, "short"

    messages = run_checks(include_deployment_checks=True)

    assert {message.id for message in messages} >= {"security.W018", "security.W009"}
