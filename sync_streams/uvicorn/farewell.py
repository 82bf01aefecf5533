"""The end of a refused connection: its client gets time to read the reason."""

import asyncio

from sync_streams.connections import bounds


class Farewell:
    """Writes a refusal, and closes the connection after the client's time limit."""

    __slots__ = ("_bytes", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, refusal: bounds.Refusal) -> None:
        """Write it; anything the client sends from now on is discarded."""
        self._transport, self._bytes = transport, 0
        transport.write(refusal.wire)
        if transport.can_write_eof():
            transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(bounds.LINGER_SECONDS, transport.abort)

    def take(self, size: int) -> None:
        """Count what still arrives."""
        self._bytes += size
        if self._bytes > bounds.LINGER_BYTES:
            self._transport.abort()

    def cancel(self) -> None:
        """Stop, because the connection is gone."""
        self._timer.cancel()
