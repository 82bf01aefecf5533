"""System checks: one test for each id, and none of them on a good site."""

import math
import resource
from dataclasses import fields
from functools import partial
from typing import Any

import pytest
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from pytest_django import Settings

from sync_streams import conf
from sync_streams.delivery.cluster.broadcast import broadcast
from sync_streams.operations import drain_process
from sync_streams.tokens import issue_token
from sync_streams.values.mounts import services_path
from tests.deployment import section

MEMORY = "channels.layers.InMemoryChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
SECRET = "x" * 32
ACCOUNT_SID, KEY_SID = "AC" + "1" * 32, "SK" + "1" * 32
ERRORS = {"sync_streams.E003", "sync_streams.E004"}
ACCOUNT = {"AUTH_TOKEN": SECRET, "API_KEYS": {KEY_SID: SECRET}}


def found(*, deploy: bool = False) -> set[str | None]:
    messages = run_checks(tags=["sync_streams"], include_deployment_checks=deploy)
    return {message.id for message in messages}


def layer(backend: str, **config: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "CONFIG": config}}


def test_a_good_site_has_no_errors(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://127.0.0.1:1"])
    settings.SYNC_STREAMS = {
        "ACCOUNTS": {ACCOUNT_SID: ACCOUNT},
        "REDIS_URL": "redis://127.0.0.1:1",
        "MAX_CONNECTIONS": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }

    assert found(deploy=True) == set()


def test_a_project_without_urls_can_run_its_commands(settings: Settings) -> None:
    del settings.ROOT_URLCONF

    assert found() == set()
    assert services_path() == "/v1/Services"


def test_more_connections_than_file_descriptors_are_reported(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://127.0.0.1:1"])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    settings.SYNC_STREAMS = {
        "ACCOUNTS": {ACCOUNT_SID: ACCOUNT},
        "REDIS_URL": "redis://127.0.0.1:1",
        "MAX_CONNECTIONS": most + 1,
    }

    assert found(deploy=True) == {"sync_streams.W009"}


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
        ({"AUTHORIZE": "tests.host_api.hooks.no_such_hook"}, "sync_streams.E005"),
        ({"AUTHORIZE": "tests.host_api.hooks.asked"}, "sync_streams.E005"),
        ({"WEBHOOK_SENDER": "no.such.module"}, "sync_streams.E005"),
        ({"WEBHOOK_SENDER": True}, "sync_streams.E005"),
        ({"REDIS_URL": "sentinel://127.0.0.1:26379"}, "sync_streams.E006"),
        ({"REDIS_URL": "sentinel://127.0.0.1:many/mymaster"}, "sync_streams.E006"),
        ({"REDIS_URL": "127.0.0.1:6379"}, "sync_streams.E006"),
        ({"PREFIX": "two sites"}, "sync_streams.E010"),
        ({"PREFIX": "x" * 41}, "sync_streams.E010"),
    ],
)
def test_a_wrong_setting_is_an_error(
    settings: Settings, values: dict[str, Any], check_id: str
) -> None:
    settings.SYNC_STREAMS = values

    assert found() == {check_id}


WRONG: dict[object, tuple[object, ...]] = {
    int: (-1, 1.5, "30", True, None),
    float: (-1, math.inf, math.nan, "1", True, None),
    bool: ("false", 1, None),
    str: (-1, "two words", True),
}
OF_ONE_SETTING = {
    "ACCOUNTS": (-1, "AC1", None),
    "AUTHORIZE": ("no.such.hook", True),
    "WEBHOOK_SENDER": ("no.such.hook", True),
    "ALLOWED_ORIGINS": ("https://app.example", ["app.example"], ["https://a/"], [1]),
    "UPLOAD_PATHS": (["/media/"], {"media/": 1}, {"/media/": "1"}),
    "GC_THRESHOLD": (10_000, (10_000, 10), ("10000", 10, 10)),
}
WRONG_VALUES = [
    (field.name.upper(), value)
    for field in fields(conf.Settings)
    for value in OF_ONE_SETTING.get(field.name.upper()) or WRONG[field.type]
]


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_each_setting_says_that_its_value_cannot_be_right(
    settings: Settings, name: str, value: object
) -> None:
    settings.SYNC_STREAMS = {name: value}

    errors = run_checks(tags=["sync_streams"])

    assert errors
    assert all(error.level == ERROR for error in errors)
    assert any(name in error.msg or repr(value) in error.msg for error in errors)


@pytest.mark.parametrize(
    "values",
    [
        {"ALLOWED_ORIGINS": ["https://app.example", "app://phone"]},
        {"PUBLIC_URL": "https://sync.example:8443/"},
        {"UPLOAD_PATHS": {"/media/": 10_000_000}},
        {"GC_THRESHOLD": None},
        {"PUBLISH_WINDOW_SECONDS": 0.5},
        {"MAX_CONNECTIONS": 0},
    ],
)
def test_a_valid_value_is_not_an_error(
    settings: Settings, values: dict[str, object]
) -> None:
    settings.SYNC_STREAMS = values

    assert found() == set()


@pytest.mark.parametrize("hook", ["tests.host_api.hooks.denying", print])
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


def test_an_unknown_key_is_reported_with_the_nearest_one(settings: Settings) -> None:
    settings.SYNC_STREAMS = {"PUBLISH_RAT": 30}

    (message,) = run_checks(tags=["sync_streams"])

    assert "Did you mean PUBLISH_RATE?" in message.msg


def test_a_site_without_a_layer_is_an_error(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {}

    assert found() == {"sync_streams.E001"}


@pytest.mark.parametrize(("capacity", "is_told"), [(999, True), (1000, False)])
def test_a_layer_that_drops_early_is_reported(
    settings: Settings, capacity: int, is_told: bool
) -> None:
    settings.CHANNEL_LAYERS = layer(MEMORY, capacity=capacity)

    assert ("sync_streams.W001" in found()) is is_told


@pytest.mark.parametrize(("seconds", "is_told"), [(7199, True), (7200, False)])
def test_a_layer_that_forgets_groups_early_is_reported(
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


def test_deployment_requires_a_layer_that_processes_share(
    settings: Settings,
) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: ACCOUNT}}

    assert found(deploy=True) == {"sync_streams.W003"}


def test_deployment_requires_a_rate_that_processes_share(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://127.0.0.1:1"])
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: ACCOUNT}}

    assert found(deploy=True) == {"sync_streams.W004"}


def test_deployment_requires_an_account(settings: Settings) -> None:
    settings.SYNC_STREAMS = {}

    assert "sync_streams.W005" in found(deploy=True)


@pytest.mark.parametrize("name", ["AUTH_TOKEN", "API_KEYS"])
@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (None, "is not set"),
        ("", "is empty"),
        (7, "is not text, but a int"),
        (b"x" * 32, "is not text, but a bytes"),
        ("x" * 31, "has fewer than 32 characters"),
    ],
    ids=ascii,
)
def test_a_weak_secret_is_an_error_with_its_name(
    settings: Settings, name: str, secret: object, words: str
) -> None:
    weak = {"AUTH_TOKEN": secret, "API_KEYS": {KEY_SID: secret}}[name]
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, name: weak}}}

    (message,) = run_checks(tags=["sync_streams"])

    whose = {"AUTH_TOKEN": "AUTH_TOKEN of account", "API_KEYS": f"Secret of {KEY_SID}"}
    assert message.id == "sync_streams.E004"
    assert message.is_serious()
    assert message.msg.startswith(whose[name])
    assert f"{ACCOUNT_SID} {words}." in message.msg


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ([ACCOUNT], "SYNC_STREAMS['ACCOUNTS'] is a list, not a dict."),
        (None, "SYNC_STREAMS['ACCOUNTS'] is None, not a dict."),
        ({ACCOUNT_SID: SECRET}, f"account {ACCOUNT_SID} is a str, not a dict."),
        ({None: ACCOUNT}, "A SID in SYNC_STREAMS['ACCOUNTS'] is None"),
        ({"": ACCOUNT}, "A SID in SYNC_STREAMS['ACCOUNTS'] is empty"),
        (
            {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": [KEY_SID, SECRET]}},
            f"API_KEYS of account {ACCOUNT_SID} is a list, not a dict.",
        ),
        (
            {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": {None: SECRET}}},
            f"A SID in API_KEYS of account {ACCOUNT_SID} is None",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("as_function", [False, True], ids=["dict", "function"])
def test_accounts_of_another_shape_are_one_error_and_the_same_words_at_run_time(
    settings: Settings, accounts: Any, words: str, as_function: bool
) -> None:
    settings.SYNC_STREAMS = {
        "ACCOUNTS": (lambda: accounts) if as_function else accounts
    }

    (message,) = run_checks(tags=["sync_streams"])

    assert message.id == "sync_streams.E001"
    setting = "SYNC_STREAMS['ACCOUNTS']"
    told = words.replace(setting, f"{setting}()") if as_function else words
    assert told in message.msg
    assert SECRET not in message.msg
    with pytest.raises(ImproperlyConfigured) as raised:
        issue_token("alice", "default")
    assert str(raised.value) == message.msg


def test_a_failing_function_for_accounts_is_reported_and_stops_no_migration(
    settings: Settings,
) -> None:
    def accounts() -> object:
        raise OperationalError("no such table")

    settings.SYNC_STREAMS = {"ACCOUNTS": accounts}

    (message,) = run_checks(tags=["sync_streams"])

    assert message.id == "sync_streams.W008"
    assert "OperationalError" in message.msg


def test_a_secret_in_the_place_of_a_sid_is_not_quoted(settings: Settings) -> None:
    hidden = "hidden" * 6
    for accounts in (
        {hidden: {**ACCOUNT, "AUTH_TOKEN": ""}},
        {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": {hidden: KEY_SID}}},
        {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": {hidden: None}}},
    ):
        settings.SYNC_STREAMS = {"ACCOUNTS": accounts}
        messages = run_checks(tags=["sync_streams"], include_deployment_checks=True)
        assert {message.id for message in messages} & ERRORS
        assert not any(hidden in str(message) for message in messages)


def test_deployment_rejects_the_documented_secrets(
    settings: Settings,
) -> None:
    environ = section("SECRET_KEY")["env"]
    account = {
        "AUTH_TOKEN": environ["SYNC_AUTH_TOKEN"],
        "API_KEYS": {KEY_SID: SECRET},
    }
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: account}}
    assert "sync_streams.E008" in found(deploy=True)
    assert "sync_streams.E008" not in found()

    keys = {KEY_SID: environ["SYNC_API_KEY_SECRET"]}
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": keys}}}
    assert "sync_streams.E008" in found(deploy=True)


def test_a_site_without_channel_layers_gets_the_same_error_at_run_time(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = {}

    (message,) = run_checks(tags=["sync_streams"])

    assert message.id == "sync_streams.E001"
    for call in (
        partial(broadcast, {"type": "service.changed", "service_sid": "IS"}),
        partial(drain_process, "host:1"),
    ):
        with pytest.raises(ImproperlyConfigured) as raised:
            call()
        assert str(raised.value) == message.msg


@pytest.mark.parametrize("backend", ["no.such.Layer", None])
def test_a_layer_that_cannot_be_imported_is_an_error(
    settings: Settings, backend: str | None
) -> None:
    config = {"BACKEND": backend} if backend else {}
    settings.CHANNEL_LAYERS = {"default": config}

    (message,) = run_checks(tags=["sync_streams"])

    assert message.id == "sync_streams.E001"
    assert "BACKEND" in message.msg


def test_a_site_without_users_says_so_to_the_rest_framework(
    settings: Settings,
) -> None:
    settings.INSTALLED_APPS = ["rest_framework", "channels", "sync_streams"]
    assert found() == {"sync_streams.E007"}

    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    assert found() == set()


def test_deployment_requires_a_secret_key_and_no_debug_mode(settings: Settings) -> None:
    settings.DEBUG, settings.SECRET_KEY = True, "short"

    messages = run_checks(include_deployment_checks=True)

    assert {message.id for message in messages} >= {"security.W018", "security.W009"}


def test_the_longest_prefix_is_accepted(settings: Settings) -> None:
    settings.SYNC_STREAMS = {**settings.SYNC_STREAMS, "PREFIX": "x" * 40}

    assert run_checks(tags=["sync_streams"]) == []
