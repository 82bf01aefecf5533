"""Settings of the app, changed for the length of a test."""

from typing import Any

from django.test import override_settings

from tests.settings import SYNC_STREAMS


def sync_settings(**changes: Any) -> override_settings:
    """Change settings, ``sync_settings(publish_rate=1)``; accounts stay as they are."""
    changed = {name.upper(): value for name, value in changes.items()}
    return override_settings(SYNC_STREAMS={**SYNC_STREAMS, **changed})
