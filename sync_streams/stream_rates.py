"""Rates of Streams: which of them something happens to most often, just now.

For operators, not for limits: a bounded table, and an estimate over a sliding window.
"""

import time
from collections.abc import Callable
from threading import Lock

WINDOW_SECONDS = 5.0
MAX_STREAMS = 10_000
"""Streams counted in one window; further ones are not."""


class StreamRates:
    """How often something happened to each Stream in the last seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Count from nought; the lock is new, too, since a fork may have copied it."""
        self._lock = Lock()
        self._since = self._clock()
        self._previous: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def note(self, stream_sid: str) -> None:
        """Count one more."""
        with self._lock:
            self._turn()
            counts = self._current
            if stream_sid in counts:
                counts[stream_sid] += 1
            elif len(counts) < MAX_STREAMS:
                counts[stream_sid] = 1

    def per_second(self) -> dict[str, float]:
        """Return the rates of all Streams that have one.

        The window before counts as far as it still lies within the last
        :data:`WINDOW_SECONDS`, as if its events had been spread evenly.
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
