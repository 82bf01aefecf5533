"""Queue: events that a hub has received and not yet delivered."""

import asyncio
from collections import deque
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
        """Create an empty queue for the running event loop.

        Args:
            on_drop: called with each dropped event: the oldest Message, or, if none
                waits, the oldest event.
        """
        self._on_drop = on_drop
        self._backpressure = backpressure()
        self._events: deque[Any] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_filling(self) -> bool:
        """Whether publishers will soon have to wait."""
        return len(self._events) >= MAX_TAKEN // 4

    def put(self, event: Any) -> None:
        """Add an event."""
        self._events.append(event)
        self._arrived.set()
        waiting = len(self._events)
        if waiting >= MAX_TAKEN:
            self._backpressure.fall_behind()
        if waiting > MAX_WAITING:
            self._drop_oldest(waiting)

    def _drop_oldest(self, waiting: int) -> None:
        oldest = self._events.popleft()
        if oldest.get("type") == MESSAGE or waiting > 2 * MAX_WAITING:
            self._on_drop(oldest)
        else:
            # It is rare, and more important than a Message: requeue it.
            self._events.append(oldest)

    async def take(self) -> list[Any]:
        """Wait for events and return those to be delivered together."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._events) == 1:
            # With time to spare, let the publisher's reply go out first.
            await asyncio.sleep(0)
        count = min(MAX_TAKEN, len(self._events))
        events = [self._events.popleft() for _ in range(count)]
        if self._backpressure.is_behind and len(self._events) < MAX_TAKEN:
            self._backpressure.catch_up()
        return events
