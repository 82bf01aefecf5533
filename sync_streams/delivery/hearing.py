"""Hearing: what an event loop's hub tells those who publish on the loop.

A Message that its own process cannot hear, or not yet, may be lost: a layer keeps a
bounded number of events for a process and drops the others.
"""

import asyncio
from weakref import WeakKeyDictionary


class Hearing:
    """Which of the layer's servers a hub is deaf to, and whether it keeps up."""

    def __init__(self) -> None:
        """Begin as a hub that hears everything; as good as where there is none."""
        self.deaf_to: set[int] = set()
        """Servers from which nothing arrives, by number."""
        self._is_keeping_up = asyncio.Event()
        self._is_keeping_up.set()

    def fall_behind(self) -> None:
        """Let publishers wait: as many events wait as may."""
        self._is_keeping_up.clear()

    def catch_up(self) -> None:
        """Let publishers go on."""
        self._is_keeping_up.set()

    async def keep_pace(self) -> None:
        """Wait while the hub is behind."""
        while not self._is_keeping_up.is_set():
            await self._is_keeping_up.wait()


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hearing] = WeakKeyDictionary()


def hearing() -> Hearing:
    """Return what is known of the running loop's hub."""
    loop = asyncio.get_running_loop()
    known = _by_loop.get(loop)
    if known is None:
        known = _by_loop[loop] = Hearing()
    return known
