"""Settings: typed, checked for unknown keys, read again when they change."""

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sync_streams.conf import get_settings
from tests.settings import ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN


def test_the_publish_rate_is_twilios_by_default() -> None:
    assert get_settings().publish_rate == 30
    assert get_settings().publish_window_seconds == 1


def test_accounts_carry_their_secrets() -> None:
    account = get_settings().accounts[ACCOUNT_SID]

    assert account.sid == ACCOUNT_SID
    assert account.auth_token == AUTH_TOKEN
    assert account.api_keys == {API_KEY_SID: API_KEY_SECRET}


def test_an_overridden_setting_is_seen_at_once_and_only_then() -> None:
    before = get_settings()

    with override_settings(SYNC_STREAMS={"PUBLISH_RATE": 7}):
        assert get_settings().publish_rate == 7
        assert not get_settings().accounts

    assert get_settings() == before


@override_settings(SYNC_STREAMS={"PUBLISH_RAET": 7, "PUBLISH_RATE": 7})
def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="PUBLISH_RAET"):
        get_settings()


def test_a_site_without_settings_has_the_defaults() -> None:
    with override_settings():
        del settings.SYNC_STREAMS
        get_settings.cache_clear()
        assert get_settings().max_subscriptions == 2_000
    get_settings.cache_clear()


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        get_settings().publish_rate = 31  # type: ignore[misc]
