"""Event queue: the events of one WebSocket that its application has not read yet."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent


class EventQueue:
    """Events for one reader, in a tenth of an :class:`asyncio.Queue`'s memory.

    It needs no bound: uvicorn stops reading while an event waits here.
    """

    __slots__ = ("_events", "_reader", "is_awaited")

    def __init__(self) -> None:
        self._events: list[ASGIReceiveEvent] = []
        self._reader: asyncio.Future[None] | None = None
        self.is_awaited = False
        """Whether the reader is idle and waits here."""

    def empty(self) -> bool:
        """Tell whether no event is waiting."""
        return not self._events

    def put_nowait(self, event: "ASGIReceiveEvent") -> None:
        """Add an event."""
        self._events.append(event)
        self.is_awaited = False
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> "ASGIReceiveEvent":
        """Wait for the next event and take it."""
        while not self._events:
            self._reader = asyncio.get_running_loop().create_future()
            self.is_awaited = True
            try:
                await self._reader
            finally:
                self.is_awaited = False
        return self._events.pop(0)
