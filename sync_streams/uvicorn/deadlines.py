"""Deadlines: how long an HTTP connection may take, and how long it may be idle."""

import asyncio
from collections.abc import Callable

from sync_streams.connections import bounds

from .cutoff import cut_off


class Deadlines:
    """The timers of one connection."""

    __slots__ = (
        "_answered",
        "_idle",
        "_loop",
        "_owed",
        "_owing",
        "_transport",
        "_unread",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport
    ) -> None:
        """Create the timers; none is running."""
        self._loop, self._transport = loop, transport
        self._owed: object = None
        self._owing: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._answered = 0.0

    def owe(self, owed: object, seconds: float | None, end: Callable[[], None]) -> None:
        """Limit the time for what the client must do now, unless that is unchanged.

        Args:
            owed: identifies it.
            seconds: the time; ``None``: any.
            end: called when it is over.
        """
        if (owed, seconds) == self._owed:
            return
        self.owe_nothing()
        self._owed = owed, seconds
        if seconds is not None:
            self._owing = self._loop.call_later(seconds, end)

    def owe_nothing(self) -> None:
        """Stop limiting the client's time."""
        self._owed = None
        if self._owing is not None:
            self._owing.cancel()
            self._owing = None

    def note_answer(self) -> None:
        """Record that a request was answered now."""
        self._answered = self._loop.time()

    def limit_idleness(
        self, seconds: float, is_idle: Callable[[], bool], end: Callable[[], None]
    ) -> None:
        """Call *end* once nothing was answered for so long, with one timer for many.

        It expires without effect if *is_idle* says no: a request on the normal path has
        its own timer.
        """
        if self._idle is None:
            again = (seconds, is_idle, end)
            left = self._answered + seconds - self._loop.time()
            self._idle = self._loop.call_later(left, self._end_if_idle, *again)

    def _end_if_idle(
        self, seconds: float, is_idle: Callable[[], bool], end: Callable[[], None]
    ) -> None:
        self._idle = None
        if self._owing is not None or not is_idle():
            return
        if self._answered + seconds > self._loop.time():
            self.limit_idleness(seconds, is_idle, end)
        else:
            end()

    def limit_reading(self) -> None:
        """Cut the client off unless it reads the response in time."""
        if self._unread is None:
            self._unread = cut_off(self._transport, bounds.UNREAD_SECONDS)

    def limit_closing(self) -> None:
        """Do the same if the connection is closing, and otherwise nothing."""
        if self._transport.is_closing():
            self.limit_reading()

    def note_read(self) -> None:
        """Record that the client has read everything."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def stop(self) -> None:
        """Stop all timers but that for reading, which the last response needs, too."""
        self.owe_nothing()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
