"""Timers of one connection, by name: setting one again replaces it."""

import asyncio
from collections.abc import Callable


class Timers:
    """Callbacks on the running event loop that end with their owner."""

    __slots__ = ("_handles",)

    def __init__(self) -> None:
        """Begin with none."""
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def set(self, name: str, delay: float, callback: Callable[[], None]) -> None:
        """Call back after *delay* seconds."""
        self.cancel(name)
        loop = asyncio.get_running_loop()
        self._handles[name] = loop.call_later(max(0.0, delay), callback)

    def cancel(self, name: str) -> None:
        """Do not call back, if it was to be."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def clear(self) -> None:
        """Call nobody back any more."""
        for name in tuple(self._handles):
            self.cancel(name)
