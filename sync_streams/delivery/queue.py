"""Queue: events that a hub has received and not yet delivered."""

import asyncio
from collections.abc import Callable
from typing import Any

from .cluster.backpressure import backpressure
from .events import MESSAGE, Event

MAX_TAKEN = 128
"""Events taken together. While this many wait, publishers in this process wait too, if
they publish to Streams with subscribers here."""

MAX_WAITING = 4_096
"""Limit of waiting events, from all processes; above it the oldest Message is dropped.
Layers have no limit of their own, or drop events silently."""


class EventQueue:
    """Events waiting to be delivered, in order and bounded."""

    def __init__(self, on_drop: Callable[[Event], None]) -> None:
        """Create an empty queue.

        Args:
            on_drop: called with each dropped event: the oldest Message, or, if none
                waits, the oldest event.
        """
        self._on_drop = on_drop
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def __len__(self) -> int:
        return self._events.qsize()

    @property
    def is_filling(self) -> bool:
        """Whether publishers will soon have to wait."""
        return self._events.qsize() >= MAX_TAKEN // 4

    def put(self, event: Any) -> None:
        """Add an event."""
        self._events.put_nowait(event)
        waiting = self._events.qsize()
        if waiting >= MAX_TAKEN:
            backpressure().fall_behind()
        if waiting > MAX_WAITING:
            self._drop_oldest(waiting)

    def _drop_oldest(self, waiting: int) -> None:
        oldest = self._events.get_nowait()
        if oldest.get("type") == MESSAGE or waiting > 2 * MAX_WAITING:
            self._on_drop(oldest)
        else:
            # Rare, and more important than a Message: requeue it.
            self._events.put_nowait(oldest)

    async def take(self) -> list[Any]:
        """Wait for events and return those to be delivered together."""
        events = [await self._events.get()]
        if self._events.empty():
            # With time to spare, let the publisher's reply go out first.
            await asyncio.sleep(0)
        while len(events) < MAX_TAKEN and not self._events.empty():
            events.append(self._events.get_nowait())
        if self._events.qsize() < MAX_TAKEN:
            backpressure().catch_up()
        return events
