"""The end of a refused connection: its client gets to read why, and no more."""

import asyncio

from sync_streams import bounds


class Farewell:
    """Writes a refusal, and cuts the connection when the client has had its time."""

    __slots__ = ("_bytes", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, refusal: bounds.Refusal) -> None:
        """Write it; what the client sends from now on is thrown away."""
        self._transport, self._bytes = transport, 0
        transport.write(refusal.wire)
        if transport.can_write_eof():
            transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(bounds.LINGER_SECONDS, transport.abort)

    def take(self, size: int) -> None:
        """Count what still comes."""
        self._bytes += size
        if self._bytes > bounds.LINGER_BYTES:
            self._transport.abort()

    def cancel(self) -> None:
        """The connection is gone."""
        self._timer.cancel()
