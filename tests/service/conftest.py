"""Fixtures for what a whole Sync Service does."""

import pytest

from tests.service.overrides import overrides

override = pytest.fixture(overrides)
