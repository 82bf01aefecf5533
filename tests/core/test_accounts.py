"""Secrets: shown by no repr, debug page, error report or log."""

import json
import logging
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from sync_streams import conf, tokens
from sync_streams.conf import get_settings
from sync_streams.redis import urls as redis_urls
from sync_streams.rest.authentication import BasicAuthentication
from sync_streams.tokens import issue_token, read_token
from sync_streams.values.accounts import Account, Secret, hide_passwords
from tests.clients.json_socket import LocalSocket
from tests.clients.twilsock import opened
from tests.logs import lines_of
from tests.settings import ACCOUNT_SID, API_KEY_SID

HIDDEN = "confidential-confidential-confidential"
KEYS = {API_KEY_SID: HIDDEN}
ACCOUNT = {"AUTH_TOKEN": HIDDEN, "API_KEYS": KEYS}
GOOD = {ACCOUNT_SID: ACCOUNT}
HEADER = {"Authorization": "Basic QUM6Y29uZmlkZW50aWFs"}  # "AC:confidential"


def failing() -> Any:
    raise RuntimeError("the host project's function")


def log_in() -> None:
    request: Any = RequestFactory().get("/v1/Services", headers=HEADER)
    BasicAuthentication().authenticate(request)


def open_session() -> None:
    read_token(TOKEN)


def token(account_sid: str, signature: str) -> str:
    parts: list[object] = [tokens._HEADER, {"iss": "SK", "sub": account_sid}]
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*encoded, signature])


TOKEN = token("AC", "confidential")

FAILURES: dict[str, tuple[dict[str, Any], Callable[[], object]]] = {
    "unknown key": ({"ACCOUNTS": GOOD, "NO_SUCH_KEY": 1}, get_settings),
    "list": ({"ACCOUNTS": [ACCOUNT]}, get_settings),
    "list of keys": (
        {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": [HIDDEN]}}},
        get_settings,
    ),
    "no SID": ({"ACCOUNTS": {None: ACCOUNT}}, get_settings),
    "no key SID": (
        {"ACCOUNTS": {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": {None: HIDDEN}}}},
        get_settings,
    ),
    "function": (
        {"ACCOUNTS": lambda: {ACCOUNT_SID: {**ACCOUNT, "API_KEYS": [HIDDEN]}}},
        lambda: issue_token("alice", "default"),
    ),
    "password": ({"ACCOUNTS": failing}, log_in),
    "access token": ({"ACCOUNTS": failing}, open_session),
    "address of Redis": (
        {"REDIS_URL": f"redis://:{HIDDEN}@127.0.0.1:99999/0"},
        lambda: redis_urls.hosts(get_settings().redis_url),
    ),
    "accounts beside Redis": (
        {"REDIS_URL": f"redis://:{HIDDEN}@127.0.0.1/0", "ACCOUNTS": [ACCOUNT]},
        get_settings,
    ),
    "option of Redis": (
        {
            "REDIS_URL": f"sentinel://:{HIDDEN}@one/master?sentinel_password={HIDDEN}&x=1"
        },
        lambda: redis_urls.hosts(get_settings().redis_url),
    ),
    "Redis": (
        {"REDIS_URL": f"redis://:{HIDDEN}@127.0.0.1/0", "NO_SUCH_KEY": 1},
        get_settings,
    ),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("debug", [False, True])
def test_debug_pages_and_error_reports_show_no_secret(
    settings: Settings, case: str, debug: bool
) -> None:
    values, call = FAILURES[case]
    settings.DEBUG, settings.SYNC_STREAMS = debug, values

    try:
        call()
    except Exception:
        page = ExceptionReporter(None, *sys.exc_info()).get_traceback_data()
    else:
        pytest.fail("it did not fail")

    # The first frame is this test's own.
    shown = str([frame["vars"] for frame in page["frames"][1:]])
    assert any(word in shown for word in ("accounts", "header", "token", "url"))
    assert "confidential" not in shown


URLS = [
    f"redis://:{HIDDEN}@127.0.0.1/0",
    f"rediss://user:{HIDDEN}@one:6379/0 rediss://user:{HIDDEN}@two:6379/0",
    f"sentinel://:{HIDDEN}@one,two/mymaster?sentinel_password={HIDDEN}",
    f"unix:///run/redis.sock?password={HIDDEN}",
]


@pytest.fixture(params=[False, True], ids=["mail", "debug page"])
def settings_with_secrets(request: pytest.FixtureRequest, settings: Settings) -> None:
    settings.DEBUG = request.param
    settings.SYNC_STREAMS = {"ACCOUNTS": GOOD, "REDIS_URL": URLS[0]}
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "sync_streams.layers.RedisChannelLayer",
            "CONFIG": {
                "hosts": [
                    *URLS,
                    {"address": ("one", 6379), "password": HIDDEN},
                    {"sentinels": [], "sentinel_kwargs": {"password": HIDDEN}},
                ],
                "symmetric_encryption_keys": (HIDDEN,),
            },
        }
    }
    conf.hide_settings()  # as at the start of a process


def test_debug_pages_show_no_secret_among_the_settings(
    settings_with_secrets: None,
) -> None:
    reporter = ExceptionReporter(RequestFactory().get("/"), None, None, None)
    reporter.is_email = True

    shown = str(reporter.get_traceback_data()["settings"])
    pages = reporter.get_traceback_html() + reporter.get_traceback_text()

    assert ACCOUNT_SID in shown
    assert "RedisChannelLayer" in pages
    assert "confidential" not in shown + pages


class Mails(AdminEmailHandler):
    """Keeps the mails to the admins, in both their forms."""

    def __init__(self) -> None:
        super().__init__(include_html=True)
        self.sent: list[str] = []

    def send_mail(
        self, subject: object, message: object, *args: Any, **kwargs: Any
    ) -> None:
        self.sent += [str(message), kwargs["html_message"]]


def test_mails_to_the_admins_show_no_secret_among_the_settings(
    settings_with_secrets: None,
) -> None:
    mails = Mails()

    mails.emit(logging.makeLogRecord({"levelno": logging.ERROR, "msg": "broken"}))

    for text in mails.sent:
        assert "RedisChannelLayer" in text
        assert "confidential" not in text
    assert len(mails.sent) == 2


def test_settings_without_a_password_stay_as_they_are(settings: Settings) -> None:
    hosts = ["redis://127.0.0.1:6379/0", ("127.0.0.1", 6379), {"address": "unix:///x"}]
    layers = {"default": {"BACKEND": "x", "CONFIG": {"hosts": hosts}}}
    settings.CHANNEL_LAYERS = layers

    conf.hide_settings()

    assert settings.CHANNEL_LAYERS is layers
    assert repr(layers["default"]["CONFIG"]) == repr({"hosts": hosts})


@pytest.mark.parametrize("url", URLS)
def test_a_hidden_url_is_read_like_any_other(url: str) -> None:
    hosts = redis_urls.hosts(hide_passwords(url))

    assert hosts == redis_urls.hosts(url)
    assert "confidential" in "".join(str(value) for value in _texts(hosts))
    assert "confidential" not in repr(hosts)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [t for one in value for t in _texts(one)] if _is_many(value) else [value]


def _is_many(value: object) -> bool:
    return isinstance(value, (list, tuple))


def test_repr_of_accounts_shows_no_secret(settings: Settings) -> None:
    settings.SYNC_STREAMS = {
        "ACCOUNTS": GOOD,
        "REDIS_URL": f"redis://:{HIDDEN}@127.0.0.1/0",
    }

    assert ACCOUNT_SID in repr(get_settings())
    assert HIDDEN not in repr(get_settings())
    assert HIDDEN not in f"{get_settings().accounts[ACCOUNT_SID]}"


def test_a_secret_is_text_like_any_other() -> None:
    secret = Secret("x" * 32)

    assert secret == "x" * 32
    assert secret.encode() == b"x" * 32
    assert repr(secret) == "'********'"


def test_a_weak_secret_is_logged_once_in_the_words_of_the_checks(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    sid = "AC" + "9" * 32
    settings.SYNC_STREAMS = {"ACCOUNTS": lambda: {sid: {"AUTH_TOKEN": "confidential"}}}

    with caplog.at_level(logging.ERROR, "sync_streams"):
        accounts = [get_settings().accounts[sid] for _ in range(3)]

    text = f"AUTH_TOKEN of account {sid} has fewer than 32 characters."
    assert (
        accounts
        == [Account(sid=sid, auth_token=Secret(), api_keys={}, faults=(text,))] * 3
    )
    assert lines_of("sync_streams", caplog) == [f"{text} It is never accepted."]


def test_a_weak_key_signs_nothing_and_says_why(settings: Settings) -> None:
    keys = {API_KEY_SID: "short"}
    account = {"AUTH_TOKEN": HIDDEN, "API_KEYS": keys}
    settings.SYNC_STREAMS = {"ACCOUNTS": {ACCOUNT_SID: account}}

    with pytest.raises(ImproperlyConfigured, match="fewer than 32 characters"):
        issue_token("alice", "default")


@pytest.mark.parametrize("transport", ["websocket", "twilsock"])
async def test_error_reports_of_sockets_show_no_access_token(
    settings: Settings, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": failing}

    if transport == "websocket":
        socket = LocalSocket(token=TOKEN)
        await socket.open()
        await socket.ask("connect", token=TOKEN)
        await socket.leave()
    else:
        async with opened() as session:
            await session.ask("init", token=TOKEN)

    reports = [record.exc_info for record in caplog.records if record.exc_info]
    assert reports
    for report in reports:
        page = ExceptionReporter(None, *report).get_traceback_data()
        shown = str([frame["vars"] for frame in page["frames"]])
        assert "LiveAccounts" in shown
        assert "confidential" not in shown
