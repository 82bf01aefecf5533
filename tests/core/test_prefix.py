"""The prefix that keeps sites on one Redis apart, while settings change."""

from collections.abc import Iterator

import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.test import override_settings

from sync_streams import conf
from sync_streams.conf import get_settings
from tests.overrides import sync_settings


@pytest.fixture
def renamed_database() -> Iterator[str]:
    """A database with another name than when the settings were read."""
    prefix = get_settings().prefix
    database = conf.django_setting("DATABASES")["default"]
    name, database["NAME"] = database["NAME"], "renamed"
    yield prefix
    database["NAME"] = name
    conf.forget_prefix()


def test_an_override_of_settings_keeps_the_prefix(renamed_database: str) -> None:
    with sync_settings(publish_rate=1):
        assert get_settings().prefix == renamed_database

    assert get_settings().prefix == renamed_database


@pytest.mark.django_db
def test_a_test_database_has_a_prefix_of_its_own(renamed_database: str) -> None:
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")

    assert get_settings().prefix != renamed_database


def test_another_secret_makes_another_prefix() -> None:
    before = get_settings().prefix

    with override_settings(SECRET_KEY="another" * 10):
        assert get_settings().prefix != before
    assert get_settings().prefix == before
