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

logger = logging.getLogger(__name__)

T = TypeVar("T")

AWAY_SECONDS = 1
"""Time for which a database that did not respond is not queried."""


class Breaker:
    """Protects callers from a database that may be down."""

    def __init__(self) -> None:
        self._away_until = 0.0

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
