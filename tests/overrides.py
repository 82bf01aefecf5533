"""Settings of the app, changed for the duration of a test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.test import override_settings

from tests.settings import SYNC_STREAMS

Override = Callable[..., None]


def sync_settings(**changes: Any) -> override_settings:
    """Change settings, ``sync_settings(publish_rate=1)``; accounts stay as they are."""
    changed = {name.upper(): value for name, value in changes.items()}
    return override_settings(SYNC_STREAMS={**SYNC_STREAMS, **changed})


def overrides() -> Iterator[Override]:
    """Yield ``override(NAME=value)``, which changes ``SYNC_STREAMS`` for a while."""
    with ExitStack() as stack:

        def override(**values: object) -> None:
            changed = {**settings.SYNC_STREAMS, **values}
            stack.enter_context(override_settings(SYNC_STREAMS=changed))

        yield override
