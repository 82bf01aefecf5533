"""Watches what the tests log: no secret, no access token, no Message data."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests import settings

TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
"""An access token, whatever it says."""

SECRETS = frozenset(
    value
    for name, value in vars(settings).items()
    if name.endswith(("AUTH_TOKEN", "API_KEY_SECRET", "SECRET_KEY"))
)


class Watch(logging.Handler):
    """Keeps each line that reveals a secret."""

    def __init__(self, *others: str) -> None:
        super().__init__(logging.DEBUG)
        self._secrets = SECRETS | set(others)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if TOKEN.search(text) or any(secret in text for secret in self._secrets):
            self.found.append(text)


@contextmanager
def watching(logger: str, *others: str, level: int = 0) -> Iterator[Watch]:
    """Watch a logger, at another level than it has if one is given.

    Args:
        logger: its name; empty: every logger's.
        others: what may not be logged either.
        level: of what is seen.
    """
    watched, watch = logging.getLogger(logger), Watch(*others)
    before = watched.level
    watched.addHandler(watch)
    if level:
        watched.setLevel(level)
    try:
        yield watch
    finally:
        watched.removeHandler(watch)
        watched.setLevel(before)
