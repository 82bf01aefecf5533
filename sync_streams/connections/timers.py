"""Timers of one connection, by name: setting one again replaces it."""

import asyncio
from collections.abc import Callable


class Timers:
    """Callbacks on the running event loop that end with their owner.

    Only the next one is scheduled on the loop: each of thousands of connections has
    several, and most timers never fire.
    """

    __slots__ = ("_due", "_handle")

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._handle: asyncio.TimerHandle | None = None

    def set(self, name: str, delay: float, callback: Callable[[], None]) -> None:
        """Call back after *delay* seconds."""
        loop = asyncio.get_running_loop()
        self._due[name] = (loop.time() + delay, callback)
        self._wait()

    def cancel(self, name: str) -> None:
        """Cancel the timer, if it is set."""
        if self._due.pop(name, None) is not None:
            self._wait()

    def clear(self) -> None:
        """Cancel all timers."""
        self._due.clear()
        self._wait()

    def _wait(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._due:
            loop = asyncio.get_running_loop()
            when, _ = min(self._due.values(), key=_moment)
            self._handle = loop.call_at(when, self._ring, when)

    def _ring(self, now: float) -> None:
        for name, (when, callback) in tuple(self._due.items()):
            # An earlier one may have cleared it.
            if when <= now and name in self._due:
                del self._due[name]
                callback()
        self._wait()


def _moment(due: tuple[float, Callable[[], None]]) -> float:
    return due[0]
