"""Reads from a connection a little at a time.

uvloop passes on up to 256 KB at once, so hundreds of clients could send as much as the
kernel's buffers hold before their turn.
"""

import asyncio
from functools import partial

from sync_streams.processes.per_loop import PerLoop

READ_BYTES = 65_536

_buffers = PerLoop(partial(bytearray, READ_BYTES))


class Reader(asyncio.BufferedProtocol):
    """Sits between a transport and a protocol that accepts any amount."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        """Wrap a protocol of the running event loop, which is connected already."""
        self._buffer, self._protocol = memoryview(_buffers.get()), protocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the loop's buffer: it is read and emptied within one callback."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._protocol.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        """Pass on that the client sends no more."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that there is room again."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end."""
        self._protocol.connection_lost(exc)
