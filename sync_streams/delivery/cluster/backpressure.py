"""Backpressure: what an event loop's hub tells publishers on the same loop.

A Message that its own process cannot receive, or not in time, would be lost to the
subscribers here although its publisher was answered 201.
"""

import asyncio
from typing import TYPE_CHECKING

from sync_streams.per_loop import PerLoop

if TYPE_CHECKING:
    from collections.abc import Container


class Backpressure:
    """From which of the layer's servers a hub receives, and whether it keeps up."""

    def __init__(self) -> None:
        self.unreachable: set[int] = set()
        """Servers from which nothing arrives, by number."""
        self.streams: Container[str] = ()
        """SIDs of the Streams with subscribers here."""
        self._is_keeping_up = asyncio.Event()
        self._is_keeping_up.set()
        self._next = asyncio.Lock()

    def fall_behind(self) -> None:
        """Make publishers wait: the queue is as long as it may be."""
        self._is_keeping_up.clear()

    def catch_up(self) -> None:
        """Let publishers go on, one by one."""
        self._is_keeping_up.set()

    def is_behind(self, stream_sid: str) -> bool:
        """Return whether a Message of the Stream would reach a hub that is late."""
        return not self._is_keeping_up.is_set() and stream_sid in self.streams

    async def wait(self) -> None:
        """Wait while the hub is behind."""
        while not self._is_keeping_up.is_set():
            # All at once would be too many again.
            async with self._next:
                await self._is_keeping_up.wait()


_by_loop = PerLoop(Backpressure)


def backpressure() -> Backpressure:
    """Return the backpressure of the running loop's hub."""
    return _by_loop.get()


def forget() -> None:
    """Forget all hubs: they are those of the process this one was forked from."""
    _by_loop.clear()
