"""EventQueue: events that a hub has received and not yet delivered."""

import asyncio
from collections.abc import Callable
from typing import Any

from .cluster.backpressure import backpressure
from .events import MESSAGE, Event

MAX_TAKEN = 128
"""Events taken together. While as many wait, publishers of this process wait, too, if
they publish to Streams that are listened to here."""

MAX_WAITING = 4_096
"""Events that wait, of whatever process; above it the oldest Message is dropped. Layers
have no bound of their own, or one that tells nobody."""


class EventQueue:
    """What waits to be delivered, in order and bounded."""

    def __init__(self, on_drop: Callable[[Event], None]) -> None:
        """Begin empty.

        Args:
            on_drop: called with each Message that is dropped.
        """
        self._on_drop = on_drop
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, event: Any) -> None:
        """Let an event wait."""
        self._events.put_nowait(event)
        if self._events.qsize() >= MAX_TAKEN:
            backpressure().fall_behind()
        if self._events.qsize() > MAX_WAITING:
            oldest = self._events.get_nowait()
            if oldest.get("type") == MESSAGE:
                self._on_drop(oldest)
            else:
                # Rare, and must not be lost: it waits once more.
                self._events.put_nowait(oldest)

    async def take(self) -> list[Any]:
        """Wait for events and return as many as are to be delivered together."""
        events = [await self._events.get()]
        if self._events.empty():
            # Whoever published it is answered first, by a process with time left.
            await asyncio.sleep(0)
        while len(events) < MAX_TAKEN and not self._events.empty():
            events.append(self._events.get_nowait())
        if self._events.qsize() < MAX_TAKEN:
            backpressure().catch_up()
        return events
