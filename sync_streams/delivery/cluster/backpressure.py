"""Backpressure: makes publishers wait for the hub of their event loop.

If a process cannot receive its own Message in time, the subscribers here would lose it
although the publisher was answered 201.
"""

import asyncio
from typing import TYPE_CHECKING

from sync_streams.processes.per_loop import PerLoop

if TYPE_CHECKING:
    from collections.abc import Container


class Backpressure:
    """Whether the layer's servers reach a hub, and whether the hub keeps up."""

    def __init__(self) -> None:
        self.unreachable: set[int] = set()
        """Indexes of the servers from which nothing arrives."""
        self.streams: Container[str] = ()
        """SIDs of the Streams with subscribers here."""
        self.is_behind = False
        """Whether publishers to those Streams have to wait."""
        self._caught_up = asyncio.Event()
        self._next = asyncio.Lock()

    def fall_behind(self) -> None:
        """Make publishers wait: the queue has reached its limit."""
        self.is_behind = True
        self._caught_up.clear()

    def catch_up(self) -> None:
        """Release waiting publishers, one by one."""
        self.is_behind = False
        self._caught_up.set()

    async def wait(self) -> None:
        """Wait while the hub is behind."""
        while self.is_behind:
            # One at a time: all at once would overfill the queue again.
            async with self._next:
                await self._caught_up.wait()


_by_loop = PerLoop(Backpressure)


backpressure = _by_loop.get
"""Returns the backpressure of the running loop's hub."""


def forget() -> None:
    """Forget all hubs: they belong to the parent process."""
    _by_loop.clear()
