"""Throttle: lets something happen at most once in so many seconds."""

from math import inf
from time import monotonic


class Throttle:
    """Says whether something may happen again, such as the same line in a log."""

    __slots__ = ("_again_at", "_seconds")

    def __init__(self, seconds: float) -> None:
        """Allow it at once, and then once in so many seconds."""
        self._seconds, self._again_at = seconds, -inf

    def allows(self) -> bool:
        """Return whether it may happen now; if so, it counts as having happened."""
        now = monotonic()
        if now < self._again_at:
            return False
        self._again_at = now + self._seconds
        return True
