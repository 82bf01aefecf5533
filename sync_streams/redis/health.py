"""Health of a Redis server, shared by its users; each change is logged once."""

import logging
import os
import random
import ssl
from time import monotonic

logger = logging.getLogger(__name__)

REMIND_SECONDS = 10
"""Time after which a different reason for the same outage is logged."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
"""Pauses between connection attempts: doubled each time, with jitter."""


class RedisUnavailable(Exception):
    """Redis did not execute a command; the reason has been logged by its health.

    If there was no reply, the command may still have been executed.
    """

    def __init__(self, reason: str, *, is_undone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        """Why, in words, without secrets."""
        self.is_undone = is_undone
        """Whether it is certain that the command was not carried out."""


class Health:
    """Whether each part of a server works."""

    def __init__(self, name: str, trouble: str, remedy: str) -> None:
        """Assume that it works.

        Args:
            name: the server's name: ``Redis redis1:6379``.
            trouble: how an outage is logged: ``unreachable``.
            remedy: how its end is logged: ``reachable again``.
        """
        self.reason = ""
        """Why it does not work; empty if it does."""
        self._words = name, trouble, remedy
        self._parts: set[str] = set()
        self._since = self._told_at = 0.0
        self._told = ""

    def fail(self, part: str, reason: str, *, silent_for: float = 0) -> None:
        """Record that a part does not work.

        Args:
            part: its name.
            reason: why it does not work.
            silent_for: seconds for which it has already been failing.
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
        """Record that a part works."""
        if part in self._parts:
            self._parts.discard(part)
            if not self._parts:
                self.reason = ""
                name, _, remedy = self._words
                seconds = monotonic() - self._since
                logger.warning("%s %s after %.1f s", name, remedy, seconds)


class Backoff:
    """Pauses between attempts, so that processes do not all retry at once."""

    def __init__(self) -> None:
        self._longest = FIRST_PAUSE_SECONDS

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        longest = min(LONGEST_PAUSE_SECONDS, self._longest)
        self._longest = 2 * longest
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter

    def reset(self) -> None:
        """Start with the shortest pause again."""
        self._longest = FIRST_PAUSE_SECONDS


def describe(error: BaseException) -> str:
    """Return why Redis does not work, in words: ``connection refused``."""
    if isinstance(error, RedisUnavailable):
        return error.reason
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        # Resolvers have their own error numbers and messages.
        number = error.errno
        return (os.strerror(number) if number > 0 else str(error.strerror)).lower()
    return str(error) or type(error).__name__
