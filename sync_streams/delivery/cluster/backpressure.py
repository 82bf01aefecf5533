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
        self._is_keeping_up = asyncio.Event()
        self._is_keeping_up.set()
        self._next = asyncio.Lock()

    def fall_behind(self) -> None:
        """Make publishers wait: the queue has reached its limit."""
        self._is_keeping_up.clear()

    def catch_up(self) -> None:
        """Release waiting publishers, one by one."""
        self._is_keeping_up.set()

    def is_behind(self, stream_sid: str) -> bool:
        """Return whether a Message of the Stream would go to a hub that is behind."""
        return not self._is_keeping_up.is_set() and stream_sid in self.streams

    async def wait(self) -> None:
        """Wait while the hub is behind."""
        while not self._is_keeping_up.is_set():
            # One at a time: all at once would overfill the queue again.
            async with self._next:
                await self._is_keeping_up.wait()


_by_loop = PerLoop(Backpressure)


backpressure = _by_loop.get
"""Returns the backpressure of the running loop's hub."""


def forget() -> None:
    """Forget all hubs: they belong to the parent process."""
    _by_loop.clear()
