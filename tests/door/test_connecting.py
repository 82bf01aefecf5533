"""Which connections are accepted: valid signature, within limits, in time."""

import time
from base64 import b64encode
from collections.abc import Iterator

import pytest
from rest_framework.test import APIClient

from sync_streams.connections.census import census
from sync_streams.connections.close_codes import CloseCode
from sync_streams.operations import failures as failures_module
from sync_streams.operations.failures import failures
from tests.clients.json_socket import LocalSocket
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID, AUTH_TOKEN

pytestmark = pytest.mark.django_db(transaction=True)

JUNK = "not.a.token"


@pytest.fixture(autouse=True)
def _nobody_has_failed() -> Iterator[None]:
    failures.__init__()  # type: ignore[misc]
    yield
    failures.__init__()  # type: ignore[misc]


async def test_junk_tokens_take_no_place_from_those_who_have_one() -> None:
    with sync_settings(max_connects_per_second=50):
        for _ in range(100):
            async with LocalSocket(token=JUNK) as junk:
                assert junk.connected["code"] == 20101
        async with LocalSocket() as socket:
            assert socket.connected["type"] == "connected", socket.connected


async def test_the_deadline_runs_from_the_accept_whatever_is_sent() -> None:
    with sync_settings(connect_timeout_seconds=0.3):
        socket = LocalSocket()
        began = time.monotonic()
        assert await socket.open()
        await socket.ask("ping")
        _, code = await socket.receive_close()

    assert code == CloseCode.NOT_CONNECTED
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("setting", "others"),
    [
        ("max_connections_per_identity", "bob"),
        ("max_connections_per_account", None),
    ],
)
async def test_connections_are_accepted_up_to_the_limit_only(
    setting: str, others: str | None
) -> None:
    with sync_settings(**{setting: 2}):
        async with LocalSocket() as first, LocalSocket() as second:
            assert first.connected["type"] == second.connected["type"] == "connected"
            third = LocalSocket()
            assert await third.open()
            refusal = await third.ask("connect", token=third.token)
            closing, code = await third.receive_close()
            if others:
                async with LocalSocket(others) as other:
                    assert other.connected["type"] == "connected"
        async with LocalSocket() as again:
            assert again.connected["type"] == "connected"

    assert (refusal["code"], refusal["status"]) == (20429, 429)
    assert setting.rpartition("_")[2] in refusal["message"]
    assert (closing["code"], code) == (CloseCode.SERVER_BUSY, CloseCode.SERVER_BUSY)
    assert not census._counts


async def test_connections_of_an_address_are_limited() -> None:
    with sync_settings(max_connections_per_address=1):
        # The test's sockets have no address, and nothing is counted without one.
        async with LocalSocket() as first, LocalSocket() as second:
            assert first.connected["type"] == second.connected["type"] == "connected"


def test_an_address_that_fails_too_often_is_refused_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    client = APIClient()

    def ask(password: str, address: str) -> int:
        client.credentials(HTTP_AUTHORIZATION=_basic(password))
        return client.get("/v1/Services", REMOTE_ADDR=address).status_code

    with sync_settings(max_failed_logins_per_minute=2):
        assert [ask("wrong", "192.0.2.1") for _ in range(3)] == [401, 401, 429]
        assert ask(AUTH_TOKEN, "192.0.2.1") == 429
        assert ask(AUTH_TOKEN, "192.0.2.2") == 200
        assert [ask("wrong", f"2001:db8::{n}") for n in range(3)] == [401, 401, 429]
        assert ask("wrong", "2001:db8:0:1::1") == 401
        now = 160.0
        assert ask(AUTH_TOKEN, "192.0.2.1") == 200


def test_by_default_an_address_may_fail_as_often_as_it_likes() -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=_basic("wrong"))
    assert {client.get("/v1/Services").status_code for _ in range(50)} == {401}


def test_a_flood_of_addresses_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "MAX_ADDRESSES", 3)
    with sync_settings(max_failed_logins_per_minute=1):
        for number in range(10):
            failures.add(f"192.0.2.{number}")
    assert len(failures._counts) == 3


def _basic(password: str) -> str:
    return "Basic " + b64encode(f"{ACCOUNT_SID}:{password}".encode()).decode()
