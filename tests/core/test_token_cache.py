"""Verified access tokens: accepted again at once, but not for longer than others."""

from types import SimpleNamespace
from typing import Any

import pytest

from sync_streams.cache import tokens
from sync_streams.cache.tokens import verify_token
from sync_streams.errors import (
    InvalidToken,
    InvalidTokenIssuer,
    InvalidTokenSignature,
)
from sync_streams.tokens import issue_token
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID, API_KEY_SID, AUTH_TOKEN

OTHER_SECRET = "another-secret-of-the-same-api-key-of-it"


def keys(**api_keys: str) -> dict[str, Any]:
    """Return the first account with other API keys."""
    return {ACCOUNT_SID: {"AUTH_TOKEN": AUTH_TOKEN, "API_KEYS": api_keys}}


def test_a_known_token_gives_the_identity_that_it_gave_before() -> None:
    token = issue_token("alice", "default")

    first = verify_token(token)

    assert first.name == "alice"
    assert verify_token(token) is first


def test_a_known_token_is_refused_once_its_key_is_removed() -> None:
    token = issue_token("alice", "default")
    verify_token(token)

    with sync_settings(accounts=keys()), pytest.raises(InvalidTokenIssuer):
        verify_token(token)
    assert verify_token(token).name == "alice"


def test_a_known_token_is_refused_once_its_key_has_another_secret() -> None:
    token = issue_token("alice", "default")
    verify_token(token)

    replaced = keys(**{API_KEY_SID: OTHER_SECRET})
    with sync_settings(accounts=replaced), pytest.raises(InvalidTokenSignature):
        verify_token(token)


@pytest.mark.parametrize(("left", "is_known"), [(1, True), (0, False)])
def test_a_known_token_is_verified_again_once_it_has_expired(
    monkeypatch: pytest.MonkeyPatch, left: int, is_known: bool
) -> None:
    token = issue_token("alice", "default")
    known = verify_token(token)
    now = known.expires_at - left

    # The cache's clock only: the token itself is still valid for everybody else.
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: now))

    assert (verify_token(token) is known) is is_known


@pytest.mark.parametrize("token", [None, 1, "", "a.b.c", "\ud800", b"x", "x" * 9000])
def test_an_invalid_token_is_refused_each_time(token: object) -> None:
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verify_token(token)


def test_the_oldest_of_too_many_tokens_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    first, *others = [issue_token(name, "default") for name in ("a", "b", "c")]
    known = verify_token(first)
    for token in others:
        verify_token(token)

    assert verify_token(first) is not known
    assert verify_token(others[-1]) is verify_token(others[-1])
