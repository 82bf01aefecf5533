"""Rates: how often something happened to each Stream or Service in the last seconds.

For operators, not for limits: the table is bounded, and the rates are estimates over a
sliding window.
"""

import time
from collections.abc import Callable
from threading import Lock

WINDOW_SECONDS = 5.0
MAX_COUNTED = 10_000
"""SIDs counted in one window; further ones are not."""


class Rates:
    """Counts events by SID over a sliding window."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Reset, with a new lock, as a fork may have copied one that was held."""
        self._lock = Lock()
        self._since = self._clock()
        self._previous: dict[str, int] = {}
        self._current: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    def note(self, sid: str) -> None:
        """Count an event."""
        with self._lock:
            if self._clock() - self._since >= WINDOW_SECONDS:
                self._turn()
            counts = self._current
            if sid in counts:
                counts[sid] += 1
            elif len(counts) < MAX_COUNTED:
                counts[sid] = 1

    def per_second(self) -> dict[str, float]:
        """Return the rates of all SIDs with events.

        The previous window counts in proportion to its overlap with the last
        :data:`WINDOW_SECONDS`, as if its events were evenly spread.
        """
        with self._lock:
            self._turn()
            left = 1 - (self._clock() - self._since) / WINDOW_SECONDS
            sums: dict[str, float] = dict(self._current)
            for sid, count in self._previous.items():
                sums[sid] = sums.get(sid, 0) + left * count
        return {sid: total / WINDOW_SECONDS for sid, total in sums.items() if total}

    def take(self) -> dict[str, int]:
        """Return the exact counts since the last call, for a history."""
        with self._lock:
            self._turn()
            self._add_to_ended()
            counts, self._ended = self._ended, {}
            self._taken = dict(self._current)
        return counts

    def _add_to_ended(self) -> None:
        ended = self._ended
        for sid, count in self._current.items():
            new = count - self._taken.get(sid, 0)
            if new and (sid in ended or len(ended) < MAX_COUNTED):
                ended[sid] = ended.get(sid, 0) + new

    def _turn(self) -> None:
        windows = int((self._clock() - self._since) / WINDOW_SECONDS)
        if windows:
            self._add_to_ended()
            self._taken = {}
            self._previous = self._current if windows == 1 else {}
            self._current = {}
            self._since += windows * WINDOW_SECONDS
