"""Tokens for users, and keys that are replaced while the server runs."""

import asyncio
import time
from collections.abc import Iterator

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from sync_streams import operations
from sync_streams.errors import InvalidTokenIssuer
from sync_streams.testing import Refused, Subscriber
from sync_streams.tokens import (
    KNOWN_KEYS_SECONDS,
    has_key,
    issue_token,
    read_token,
)
from tests.clients.json_socket import LocalSocket
from tests.host_api import keys
from tests.overrides import Override
from tests.settings import ACCOUNT_SID, API_KEY_SID, OTHER_ACCOUNT_SID


@pytest.fixture
def rotation(override: Override) -> Iterator[None]:
    keys.api_keys = {**keys.OLD}
    override(ACCOUNTS="tests.host_api.keys.accounts", KEEPALIVE_SECONDS=0.05)
    yield
    keys.api_keys = {}


@pytest.mark.usefixtures("rotation")
def test_tokens_of_both_keys_hold_while_both_exist() -> None:
    old = issue_token("alice", "default")
    keys.api_keys = {**keys.NEW, **keys.OLD}
    new = issue_token("alice", "default")

    assert read_token(old).key_sid == keys.OLD_KEY
    assert read_token(new).key_sid == keys.NEW_KEY


@pytest.mark.usefixtures("rotation")
def test_tokens_of_a_removed_key_are_refused_at_once() -> None:
    old = issue_token("alice", "default")
    keys.api_keys = {**keys.NEW}

    with pytest.raises(InvalidTokenIssuer):
        read_token(old)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rotation")
async def test_open_connections_of_a_removed_key_end_within_seconds() -> None:
    async with LocalSocket() as socket:
        assert socket.connected["type"] == "connected"
        keys.api_keys = {**keys.NEW}

        closing, code = await socket.receive_close()

    assert (closing["code"], code) == (4002, 4002)
    assert closing["reconnect_after"] is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rotation")
async def test_accounts_that_cannot_be_looked_up_close_no_connection(
    override: Override, caplog: pytest.LogCaptureFixture
) -> None:
    service = await asyncio.to_thread(operations.get_service, ACCOUNT_SID, "default")
    await asyncio.to_thread(operations.create_stream, service, unique_name="x")
    async with Subscriber("x") as alice:
        override(ACCOUNTS="tests.host_api.keys.failing")

        assert await alice.receive_nothing(within=3)

    told = [record for record in caplog.records if record.name.endswith(".keys")]
    assert len(told) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rotation")
async def test_renewed_token_of_another_key_keeps_the_connection() -> None:
    service = await asyncio.to_thread(operations.get_service, ACCOUNT_SID, "default")
    await asyncio.to_thread(operations.create_stream, service, unique_name="x")
    async with Subscriber("x", identity="alice") as alice:
        keys.api_keys = {**keys.NEW, **keys.OLD}
        await alice._ask("token", token=issue_token("alice", "default"))
        keys.api_keys = {**keys.NEW}

        assert await alice.receive_nothing(within=3)


@pytest.mark.usefixtures("rotation")
def test_open_connections_together_ask_once_a_second() -> None:
    identity = read_token(issue_token("alice", "default"))
    keys.asked.clear()
    started = time.monotonic()

    assert all(has_key(identity) for _ in range(1000))

    assert len(keys.asked) <= 1 + (time.monotonic() - started) / KNOWN_KEYS_SECONDS


@pytest.mark.parametrize("identity", ["", "x" * 257])
def test_no_token_is_issued_for_an_impossible_identity(identity: str) -> None:
    with pytest.raises(ValueError, match="identity"):
        issue_token(identity, "default")


@pytest.mark.parametrize("ttl", [0, 86_401])
def test_no_token_is_issued_for_an_impossible_time(ttl: int) -> None:
    with pytest.raises(ValueError, match="ttl must be 1 to"):
        issue_token("alice", "default", ttl=ttl)


@pytest.mark.parametrize("length", [1, 256])
def test_shortest_and_longest_identity_are_read(length: int) -> None:
    assert read_token(issue_token("é" * length, "default")).name == "é" * length


@pytest.mark.parametrize("ttl", [1, 86_400])
def test_token_lives_as_long_as_it_was_asked_to(ttl: int) -> None:
    claims = jwt.decode(
        issue_token("alice", "default", ttl=ttl), options={"verify_signature": False}
    )

    assert claims["exp"] - claims["iat"] == ttl


@pytest.mark.parametrize(
    "accounts", [{}, {ACCOUNT_SID: {"AUTH_TOKEN": "x"}}], ids=["no account", "no key"]
)
def test_no_token_is_issued_without_a_key(
    override: Override, accounts: dict[str, object]
) -> None:
    override(ACCOUNTS=accounts)

    with pytest.raises(ImproperlyConfigured):
        issue_token("alice", "default")


def test_token_is_signed_with_the_first_key_of_the_account() -> None:
    assert read_token(issue_token("alice", "default")).key_sid == API_KEY_SID
    other = issue_token("alice", "default", account_sid=OTHER_ACCOUNT_SID)
    assert read_token(other).account_sid == OTHER_ACCOUNT_SID


@pytest.fixture
def site() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.host_api.urls"):
        yield


@pytest.mark.django_db
@pytest.mark.usefixtures("site")
def test_view_issues_a_token_to_logged_in_users(client: Client) -> None:
    client.force_login(User.objects.create(username="alice"))

    answer = client.post("/token/")

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    identity = read_token(answer.json()["token"])
    assert identity.name == answer.json()["identity"] == "alice"
    assert answer.json()["ttl"] == 600
    assert abs(identity.expires_at - time.time() - 600) < 5


@pytest.mark.django_db
@pytest.mark.usefixtures("site")
def test_view_refuses_strangers_and_other_sites_pages() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/token/").status_code == 403

    client.force_login(User.objects.create(username="alice"))

    assert client.post("/token/").status_code == 403
    assert client.get("/token/").status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rotation")
async def test_subscriber_of_a_removed_key_cannot_connect() -> None:
    service = await asyncio.to_thread(operations.get_service, ACCOUNT_SID, "default")
    await asyncio.to_thread(operations.create_stream, service, unique_name="x")
    late = Subscriber("x")
    keys.api_keys = {**keys.NEW}

    with pytest.raises(Refused) as refusal:
        async with late:
            pass

    assert refusal.value.code == 20103
