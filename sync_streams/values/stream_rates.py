"""Stream rates: how often something happened to each Stream in the last seconds.

For operators, not for limits: the table is bounded, and the rates are estimates over a
sliding window.
"""

import time
from collections.abc import Callable
from threading import Lock

WINDOW_SECONDS = 5.0
MAX_STREAMS = 10_000
"""Streams counted in one window; further ones are not."""


class StreamRates:
    """Counts events by Stream over a sliding window."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Reset, with a new lock, as a fork may have copied one that was held."""
        self._lock = Lock()
        self._since = self._clock()
        self._previous: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def note(self, stream_sid: str) -> None:
        """Count an event."""
        with self._lock:
            self._turn()
            counts = self._current
            if stream_sid in counts:
                counts[stream_sid] += 1
            elif len(counts) < MAX_STREAMS:
                counts[stream_sid] = 1

    def per_second(self) -> dict[str, float]:
        """Return the rates of all Streams with events.

        The previous window counts in proportion to its overlap with the last
        :data:`WINDOW_SECONDS`, as if its events were evenly spread.
        """
        with self._lock:
            self._turn()
            left = 1 - (self._clock() - self._since) / WINDOW_SECONDS
            sums: dict[str, float] = dict(self._current)
            for stream_sid, count in self._previous.items():
                sums[stream_sid] = sums.get(stream_sid, 0) + left * count
        return {sid: total / WINDOW_SECONDS for sid, total in sums.items() if total}

    def _turn(self) -> None:
        windows = int((self._clock() - self._since) / WINDOW_SECONDS)
        if windows:
            self._previous = self._current if windows == 1 else {}
            self._current = {}
            self._since += windows * WINDOW_SECONDS
