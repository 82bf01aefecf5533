"""One value for each event loop, let go of when the loop has ended.

What belongs to a loop (a connection, a task, a lock that somebody waited for) refers to
the loop, so a dictionary with weak keys never lets go of either: a process that runs
``asyncio.run()`` for each of its tasks would keep them all, and their connections.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

CLOSE_SECONDS = 1
"""Time that a loop which ends leaves to each value to close."""


class PerLoop(Generic[T]):
    """Makes a value the first time that an event loop asks for one."""

    def __init__(
        self,
        make: Callable[[], T],
        close: Callable[[T], Awaitable[object]] | None = None,
    ) -> None:
        """Hold no value yet.

        Args:
            make: returns a new value, on the event loop that it is for.
            close: is awaited when that loop ends in good order, as ``asyncio.run`` and
                servers end theirs. It has ``CLOSE_SECONDS``; what it raises is dropped.
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
        """Give the running event loop another value; the old one is not closed."""
        loop = asyncio.get_running_loop()
        self._drop_ended()
        self._values[loop] = value
        if self._close is not None and loop not in self._ends:
            self._ends[loop] = _started(self._closing(loop, self._close))

    def clear(self) -> None:
        """Forget all values, closing none: they are another process's."""
        self._values.clear()
        self._ends.clear()

    def __len__(self) -> int:
        """Return for how many loops there is a value."""
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
    # A loop closes the asynchronous generators that have started on it, after all its
    # tasks and before itself. This is the only hook that every loop has.
    with suppress(StopIteration):
        ending.__anext__().__await__().__next__()
    return ending
