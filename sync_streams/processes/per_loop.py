"""One value for each event loop, released when the loop has ended.

A loop's objects (connections, tasks, contended locks) refer to the loop, so a
dictionary with weak keys would never release either: a process that calls
``asyncio.run()`` for each of its tasks would keep every loop and its connections.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

CLOSE_SECONDS = 1
"""Time for each value to close when its loop ends."""


class PerLoop(Generic[T]):
    """Creates a value the first time that it is needed on an event loop."""

    def __init__(
        self,
        make: Callable[[], T],
        close: Callable[[T], Awaitable[object]] | None = None,
    ) -> None:
        """Set up without values.

        Args:
            make: returns a new value; called on the event loop that it is for.
            close: awaited when that loop shuts down cleanly, as ``asyncio.run`` and
                servers do, for at most ``CLOSE_SECONDS``. Its exceptions are ignored.
        """
        self._make, self._close = make, close
        self._values: dict[asyncio.AbstractEventLoop, T] = {}
        self._ends: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}

    def get(self) -> T:
        """Return the running event loop's value."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            self.set(self._make())
        return self._values[loop]

    def peek(self) -> T | None:
        """Return the running event loop's value, if it has one."""
        return self._values.get(asyncio.get_running_loop())

    def set(self, value: T) -> None:
        """Replace the running event loop's value, without closing the old one."""
        loop = asyncio.get_running_loop()
        self._drop_ended()
        self._values[loop] = value
        if self._close is not None and loop not in self._ends:
            self._ends[loop] = _started(self._closing(loop, self._close))

    def drop(self) -> None:
        """Forget the running event loop's value, without closing it."""
        self._drop(asyncio.get_running_loop())

    def clear(self) -> None:
        """Forget all values without closing them: they belong to another process."""
        self._values.clear()
        self._ends.clear()

    def __len__(self) -> int:
        """Return the number of loops that have a value."""
        return len(self._values)

    def _drop_ended(self) -> None:
        for loop in tuple(self._values):
            if loop.is_closed():
                self._drop(loop)

    def _drop(self, loop: asyncio.AbstractEventLoop) -> T | None:
        self._ends.pop(loop, None)
        return self._values.pop(loop, None)

    async def _closing(
        self,
        loop: asyncio.AbstractEventLoop,
        close: Callable[[T], Awaitable[object]],
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            value = self._drop(loop)
            if value is not None:
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await close(value)


def _started(ending: AsyncGenerator[None, None]) -> AsyncGenerator[None, None]:
    # A loop closes the asynchronous generators that were started on it, after all its
    # tasks and before itself. No other hook exists on every loop.
    with suppress(StopIteration):
        ending.__anext__().__await__().__next__()
    return ending
