"""A pytest fixture for published Messages; pytest finds it by its entry point."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from .testing import Published


@pytest.fixture
def published_messages() -> Iterator[list["Published"]]:
    """Messages of the test, in order: ``[0].stream``, ``[0].message.data``."""
    # Django is not set up yet when pytest loads its plugins.
    with import_string("sync_streams.testing.capture_published")() as published:
        yield published
