"""Settings for one test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from django.conf import settings
from django.test import override_settings

Override = Callable[..., None]


def overrides() -> Iterator[Override]:
    """Yield ``override(NAME=value)``, which changes ``SYNC_STREAMS`` for a while."""
    with ExitStack() as stack:

        def override(**values: object) -> None:
            changed = {**settings.SYNC_STREAMS, **values}
            stack.enter_context(override_settings(SYNC_STREAMS=changed))

        yield override
