"""Breaker: leaves a database alone for a moment when it does not answer.

While the database is away nothing can change, so what was fetched last still holds and
publishing to known Streams goes on. What else needs the database is refused at once,
but for one call a second that finds out whether it is back.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError

from sync_streams.errors import ServiceUnavailable, SyncError

logger = logging.getLogger(__name__)

T = TypeVar("T")

AWAY_SECONDS = 1
"""Time for which a database that did not answer is left alone."""


class Breaker:
    """Stands between callers and a database that may be away."""

    def __init__(self) -> None:
        self._away_until = 0.0

    def call(self, fetch: Callable[[], T], kept: T | None) -> T:
        """Return what *fetch* returns, or *kept* while the database is away.

        Raises:
            ServiceUnavailable: 20503, the database is away and nothing was kept.
        """
        away_until, now = self._away_until, time.monotonic()
        if now >= away_until:
            # Of the callers of a database that was away, one waits for the answer.
            self._away_until = now + AWAY_SECONDS if away_until else 0.0
            try:
                found = fetch()
            except (OperationalError, InterfaceError) as error:
                logger.warning("database failed: %r", error)
                self._away_until = time.monotonic() + AWAY_SECONDS
            except SyncError:
                self._away_until = 0.0
                raise
            else:
                self._away_until = 0.0
                return found
        if kept is None:
            raise ServiceUnavailable
        return kept
