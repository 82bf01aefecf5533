"""Commands to one server: pipelined on one connection, each with a time limit.

Commands of one loop iteration are written together, and none waits for the reply to an
earlier one. A command is never written twice: if its connection breaks, there is no
way to know whether it was executed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from sync_streams.conf import get_settings

from .connection import Answer, Connection
from .endpoint import Opener
from .health import Backoff, Health, RedisUnavailable, describe
from .protocol import Word

MAX_WAITING = 8_192
"""Commands that can wait for a reply or a connection; further ones are refused."""

MAX_AT_ONCE = 1_024
"""Commands that wait for a reply while more are sent without waiting. Above it, each
client waits for the reply to its own, and sends no more meanwhile."""

RENEW_SECONDS = 1
"""Minimum time between two replacements of a working connection."""

CLOCK_SECONDS = 60
"""Time after which the server's clock is read again."""

PART = "commands"


class Pipeline:
    """Commands to one server, in order."""

    def __init__(
        self, opener: Opener, health: Health, *preparations: Sequence[Word]
    ) -> None:
        """Connect on first use.

        Args:
            opener: opens connections to the server.
            health: records the state of the server.
            preparations: commands that are sent first on each connection.
        """
        self._opener, self._health = opener, health
        self._preparations = preparations
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._unsent: list[tuple[Sequence[Word], Answer, float]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._backoff, self._retry_at = Backoff(), 0.0
        self.clock_ahead: float | None = None
        """Seconds by which the server's clock is ahead of the loop's; ``None`` without
        a connection."""
        self.clock_read_at = 0.0
        """When the server's clock was read, by the loop's clock."""
        self._was_lost = self._was_silent = False
        self._renew_at = 0.0

    def request(self, *words: Word) -> "asyncio.Future[Any]":
        """Send a command.

        Returns:
            The reply, within ``broadcast_timeout_seconds``. It raises ReplyError if the
            reply is an error, and RedisUnavailable if there is none.
        """
        reply = self._loop.create_future()
        self.forward(words, reply)
        return reply

    def forward(self, words: Sequence[Word], answer: Answer) -> None:
        """Send a command; *answer* takes its reply in the form of :meth:`request`."""
        connection = self._connection
        if connection is None:
            self._wait_to_send(words, answer)
        elif len(connection.waiting) >= MAX_WAITING:
            _refuse(answer, "too many commands wait")
        else:
            connection.forward(words, answer, self._loop.time())
            if self._watch is None:
                self._look_after(get_settings().broadcast_timeout_seconds)

    @property
    def is_ready(self) -> bool:
        """Whether a script can be sent without waiting for anything."""
        connection = self._connection
        if connection is None or self.clock_ahead is None:
            return False
        return len(connection.waiting) < MAX_AT_ONCE

    def reset(self, reason: str) -> None:
        """Close the connection; the next command opens a new one."""
        if self._connection is not None:
            self._connection.abort(reason)

    def read_clock(self, reply: Any) -> None:
        """Set the server's clock from its reply to ``TIME``."""
        if isinstance(reply, list):
            seconds, microseconds = map(int, reply)
            now = self._loop.time()
            self.clock_ahead = seconds + microseconds / 1_000_000 - now
            self.clock_read_at = now

    def forget_clock(self) -> None:
        """Request the server's clock before the next script is sent."""
        self.clock_ahead = None

    def check_clock(self, now: float) -> None:
        """Read the server's clock again after a while, since clocks drift."""
        if now - self.clock_read_at > CLOCK_SECONDS:
            self.clock_read_at = now
            self.request("TIME").add_done_callback(self._note_clock)

    def _note_clock(self, reply: "asyncio.Future[Any]") -> None:
        if not reply.cancelled() and reply.exception() is None:
            self.read_clock(reply.result())

    def renew(self) -> None:
        """Replace a working connection, but not too often."""
        now = self._loop.time()
        if self._connection is not None and now >= self._renew_at:
            self._renew_at = now + RENEW_SECONDS
            connection, self._connection = self._connection, None
            self.clock_ahead = None
            connection.on_lost = lambda reason: None
            connection.abort("replaced")

    def retry(self) -> None:
        """Reconnect if the connection was lost: the server is available again."""
        self._retry_at = 0.0
        if self._was_lost and self._connection is None and self._opening is None:
            self._opening = self._loop.create_task(self._open())

    async def close(self) -> None:
        """Close the connection and fail the commands that wait for one."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
            self._opening = None
        self._refuse_unsent("closed")
        if self._connection is not None:
            self._connection.on_lost = lambda reason: None
            self._connection.abort("closed")
            self._connection = self.clock_ahead = None

    def _wait_to_send(self, words: Sequence[Word], answer: Answer) -> None:
        now = self._loop.time()
        if self._opening is None and now < self._retry_at:
            _refuse(answer, self._health.reason)
            return
        if len(self._unsent) >= MAX_WAITING:
            _refuse(answer, "too many commands wait")
            return
        if self._opening is None:
            self._opening = self._loop.create_task(self._open())
        if self._was_silent:
            # An earlier caller has waited without a reply, so later ones do not wait.
            _refuse(answer, self._health.reason)
            return
        self._unsent.append((words, answer, now))
        if self._watch is None:
            self._look_after(get_settings().broadcast_timeout_seconds)

    async def _open(self) -> None:
        try:
            connection = await self._opener.open(*self._preparations)
        except RedisUnavailable as error:
            self._retry_at = self._loop.time() + self._backoff.pause()
            self._health.fail(PART, error.reason)
            self._refuse_unsent(error.reason)
        except Exception as error:  # such as invalid options
            self._retry_at = self._loop.time() + self._backoff.pause()
            self._health.fail(PART, describe(error))
            self._refuse_unsent(describe(error))
        else:
            self._start(connection)
        finally:
            self._opening = None

    def _start(self, connection: Connection) -> None:
        self._connection = connection
        for reply in connection.prepared:
            self.read_clock(reply)
        connection.on_lost = self._lose
        if connection.is_lost:
            connection.on_lost("connection closed")
            return
        self._backoff.reset()
        self._was_lost = self._was_silent = False
        self._health.recover(PART)
        unsent, self._unsent = self._unsent, []
        for words, answer, asked_at in unsent:
            # Skip callers that have given up meanwhile.
            if not answer.done():
                connection.forward(words, answer, asked_at)

    def _lose(self, reason: str) -> None:
        self._connection, self._was_lost = None, True
        self.clock_ahead = None
        self._health.fail(PART, reason)
        self._refuse_unsent(reason)

    def _refuse_unsent(self, reason: str) -> None:
        unsent, self._unsent = self._unsent, []
        for _, answer, _ in unsent:
            if not answer.done():
                _refuse(answer, reason)

    def _look_after(self, seconds: float) -> None:
        self._watch = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Fail commands that have waited too long; one timer serves all of them."""
        self._watch = None
        timeout, now = get_settings().broadcast_timeout_seconds, self._loop.time()
        oldest = self._oldest()
        if oldest is None:
            return
        if oldest + timeout > now:
            self._look_after(oldest + timeout - now)
        elif self._connection is not None:
            self._health.fail(PART, "no answer", silent_for=now - oldest)
            self._was_silent = True
            self._connection.abort("no answer")
        else:
            self._refuse_unsent(self._health.reason or "no connection")

    def _oldest(self) -> float | None:
        if self._connection is not None and self._connection.waiting:
            return self._connection.waiting[0][1]
        return self._unsent[0][2] if self._unsent else None


def _refuse(answer: Answer, reason: str) -> None:
    answer.set_exception(RedisUnavailable(reason, is_undone=True))
