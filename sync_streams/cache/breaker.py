"""Breaker: stops querying a database for a moment when it does not respond.

While the database is down nothing can change, so cached entries stay valid and
publishing to cached Streams continues. Anything else that needs the database is refused
immediately, except for one call a second that checks whether it is back.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError

from sync_streams.errors import ServiceUnavailable, SyncError
from sync_streams.values.throttle import Throttle

logger = logging.getLogger(__name__)

T = TypeVar("T")

REMIND_SECONDS = 10
"""Minimum time between log lines about a slow database."""

AWAY_SECONDS = 1
"""Time for which a database that did not respond is not queried."""


class Breaker:
    """Protects callers from a database that may be down."""

    def __init__(self) -> None:
        self._away_until = 0.0
        self._failed_at: float | None = None
        self._reminders = Throttle(REMIND_SECONDS)

    def call(self, fetch: Callable[[], T], kept: T | None) -> T:
        """Return the result of *fetch*, or *kept* while the database is down.

        Raises:
            ServiceUnavailable: 20503, the database is down and *kept* is ``None``.
        """
        away_until, now = self._away_until, time.monotonic()
        if now >= away_until:
            # While the database may still be down, only one caller waits for it.
            self._away_until = now + AWAY_SECONDS if away_until else 0.0
            try:
                found = fetch()
            except (OperationalError, InterfaceError) as error:
                self._fail(error)
            except SyncError:
                self._recover()
                raise
            else:
                self._recover()
                return found
        if kept is None:
            raise ServiceUnavailable
        return kept

    def note_slow(self, seconds: float) -> None:
        """Log that a caller gave up waiting, at most every ``REMIND_SECONDS``.

        The database may work for others, if only a table is locked or the pool is
        empty. So it is queried again, and any answer counts as its recovery.
        """
        if self._reminders.allows():
            self._note_failure(f"no answer within {seconds:g} s")

    def _fail(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        self._note_failure(repr(error))

    def _note_failure(self, reason: str) -> None:
        if self._failed_at is None:  # logged once, not for each caller
            self._failed_at = time.monotonic()
            logger.warning("database failed: %s", reason)

    def _recover(self) -> None:
        self._away_until = 0.0
        if (failed_at := self._failed_at) is not None:
            self._failed_at = None
            seconds = time.monotonic() - failed_at
            logger.warning("database responds again after %.1f s", seconds)
