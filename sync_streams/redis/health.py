"""Health of a Redis server: known to all who use it, told once for each change."""

import logging
import os
import random
import ssl
from time import monotonic

logger = logging.getLogger(__name__)

REMIND_SECONDS = 10
"""Time after which another reason for the same trouble is told."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
"""Pauses between attempts to connect: doubled each time, with jitter."""


class RedisUnavailable(Exception):
    """Redis did not do what it was told; its health says why, and has logged it.

    Where no answer came, a command may have been carried out all the same.
    """

    def __init__(self, reason: str, *, is_undone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        """Why, in words, without secrets."""
        self.is_undone = is_undone
        """Whether it is certain that the command was not carried out."""


class Health:
    """Whether a server is of use, in its parts."""

    def __init__(self, name: str, trouble: str, remedy: str) -> None:
        """Suppose that it is.

        Args:
            name: whose it is: ``Redis redis1:6379``.
            trouble: what is said of a server in trouble: ``unreachable``.
            remedy: what is said when that is over: ``reachable again``.
        """
        self.reason = ""
        """Why it is of no use; empty: it is."""
        self._words = name, trouble, remedy
        self._parts: set[str] = set()
        self._since = self._told_at = 0.0
        self._told = ""

    def fail(self, part: str, reason: str, *, silent_for: float = 0) -> None:
        """Note that a part does not work.

        Args:
            part: which one.
            reason: why not.
            silent_for: seconds for which that has been so already.
        """
        now = monotonic()
        if not self._parts:
            self._since, self._told = now - silent_for, ""
        self._parts.add(part)
        self.reason = reason
        is_news = not self._told or now - self._told_at > REMIND_SECONDS
        if is_news and reason != self._told:
            self._told, self._told_at = reason, now
            name, trouble, _ = self._words
            seconds = now - self._since
            logger.error("%s %s for %.1f s: %s", name, trouble, seconds, reason)

    def recover(self, part: str) -> None:
        """Note that a part works."""
        if part in self._parts:
            self._parts.discard(part)
            if not self._parts:
                self.reason = ""
                name, _, remedy = self._words
                seconds = monotonic() - self._since
                logger.warning("%s %s after %.1f s", name, remedy, seconds)


class Backoff:
    """Pauses between attempts, so that processes do not return together."""

    def __init__(self) -> None:
        self._longest = FIRST_PAUSE_SECONDS

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        longest = min(LONGEST_PAUSE_SECONDS, self._longest)
        self._longest = 2 * longest
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._longest = FIRST_PAUSE_SECONDS


def describe(error: BaseException) -> str:
    """Say in words why Redis is of no use: ``connection refused``."""
    if isinstance(error, RedisUnavailable):
        return error.reason
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        # Resolvers have numbers, and words, of their own.
        number = error.errno
        return (os.strerror(number) if number > 0 else str(error.strerror)).lower()
    return str(error) or type(error).__name__
