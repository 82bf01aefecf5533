"""Timers of one connection, by name: setting one again replaces it."""

import asyncio
from collections.abc import Callable


class Timers:
    """Callbacks on the running event loop that end with their owner.

    Only the next one is scheduled on the loop: each of thousands of connections has
    several, and most timers never fire.
    """

    __slots__ = ("_due", "_handle", "_rings_at")

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def set(self, name: str, delay: float, callback: Callable[[], None]) -> None:
        """Call back after *delay* seconds."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        self._due[name] = (when, callback)
        # Firing too early does no harm, and costs less than a new handle.
        if self._handle is None or when < self._rings_at:
            self._ring_at(when, loop)

    def cancel(self, name: str) -> None:
        """Cancel the timer, if it is set."""
        self._due.pop(name, None)
        if not self._due:
            self.clear()

    def clear(self) -> None:
        """Cancel all timers."""
        self._due.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._rings_at, self._handle = when, loop.call_at(when, self._ring, when)

    def _ring(self, now: float) -> None:
        self._handle = None
        for name, (when, callback) in tuple(self._due.items()):
            # An earlier callback may have cleared it.
            if when <= now and name in self._due:
                del self._due[name]
                callback()
        if self._due:
            when, _ = min(self._due.values(), key=_moment)
            self._ring_at(when, asyncio.get_running_loop())


def _moment(due: tuple[float, Callable[[], None]]) -> float:
    return due[0]
