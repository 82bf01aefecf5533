"""Flow control of Daphne's responses, which Daphne itself lacks."""

import asyncio
from typing import Any

from twisted.internet import reactor

from sync_streams.connections import bounds


class Flow:
    """Whether a client reads its responses; disconnects one that has stopped."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._deadline: Any = None

    def pause(self) -> None:
        """Make writers wait: the transport is full."""
        if self._writable.is_set():
            self._writable.clear()
            abort = self._transport.abortConnection
            self._deadline = reactor.callLater(bounds.UNREAD_SECONDS, abort)

    def resume(self) -> None:
        """Let writers continue: the client has read everything, or it has left."""
        self._writable.set()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    async def until_writable(self) -> None:
        """Wait until the transport is not full."""
        await self._writable.wait()
