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
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from sync_streams import tokens
from sync_streams.conf import get_settings
from sync_streams.rest.authentication import BasicAuthentication
from sync_streams.tokens import issue_token, read_token
from sync_streams.values.accounts import Account, Secret
from tests.settings import ACCOUNT_SID, API_KEY_SID
from tests.twilsock.session import Session
from tests.websocket.client import Socket

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
    assert "accounts" in shown or "header" in shown or "token" in shown
    assert "confidential" not in shown


@pytest.mark.parametrize("debug", [False, True])
def test_debug_pages_show_no_secret_among_the_settings(
    settings: Settings, debug: bool
) -> None:
    settings.DEBUG, settings.SYNC_STREAMS = debug, {"ACCOUNTS": GOOD}

    page = ExceptionReporter(None, None, None, None).get_traceback_data()

    assert ACCOUNT_SID in str(page["settings"]["SYNC_STREAMS"])
    assert "confidential" not in str(page["settings"])


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
    assert caplog.messages == [f"{text} It lets nobody in."]


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
        socket = Socket(token=TOKEN)
        await socket.open()
        await socket.ask("connect", token=TOKEN)
        await socket.leave()
    else:
        session = Session()
        await session.socket.connect()
        await session.ask("init", token=TOKEN)
        await session.socket.disconnect()

    reports = [record.exc_info for record in caplog.records if record.exc_info]
    assert reports
    for report in reports:
        page = ExceptionReporter(None, *report).get_traceback_data()
        shown = str([frame["vars"] for frame in page["frames"]])
        assert "LiveAccounts" in shown
        assert "confidential" not in shown
