"""Backpressure: what an event loop's hub tells those who publish on the loop.

A Message that its own process cannot hear, or not in time, would be lost to subscribers
here although its publisher was told otherwise.
"""

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Container


class Backpressure:
    """Which of the layer's servers a hub is deaf to, and whether it keeps up."""

    def __init__(self) -> None:
        """Begin as a hub that hears everything; as good as where there is none."""
        self.unreachable: set[int] = set()
        """Servers from which nothing arrives, by number."""
        self.streams: Container[str] = ()
        """SIDs of the Streams that are listened to."""
        self._is_keeping_up = asyncio.Event()
        self._is_keeping_up.set()
        self._next = asyncio.Lock()

    def fall_behind(self) -> None:
        """Let publishers wait: as many events wait as may."""
        self._is_keeping_up.clear()

    def catch_up(self) -> None:
        """Let publishers go on, one after the other."""
        self._is_keeping_up.set()

    def is_behind(self, stream_sid: str) -> bool:
        """Tell whether a Message of the Stream would come to a hub that is late."""
        return not self._is_keeping_up.is_set() and stream_sid in self.streams

    async def keep_pace(self) -> None:
        """Wait while the hub is behind."""
        while not self._is_keeping_up.is_set():
            # All at once they would be too many again.
            async with self._next:
                await self._is_keeping_up.wait()


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Backpressure] = (
    WeakKeyDictionary()
)


def backpressure() -> Backpressure:
    """Return what is known of the running loop's hub."""
    loop = asyncio.get_running_loop()
    known = _by_loop.get(loop)
    if known is None:
        known = _by_loop[loop] = Backpressure()
    return known
