"""Fixtures for the API that a host project calls, and the hooks it gives."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from sync_streams import operations
from sync_streams.models import Service
from tests.overrides import overrides
from tests.settings import ACCOUNT_SID

override = pytest.fixture(overrides)


@pytest.fixture
def service() -> Service:
    return operations.get_service(ACCOUNT_SID, "default")


@pytest.fixture(autouse=True)
def _own_layer() -> Iterator[None]:
    """Give each test a channel layer without channels of earlier tests."""
    with override_settings(CHANNEL_LAYERS=settings.CHANNEL_LAYERS):
        yield
