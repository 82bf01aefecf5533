"""Reads from a connection a little at a time.

uvloop hands over up to 256 KB at once, so what hundreds of clients have sent before
their turn would be all that they can get into the kernel's buffers.
"""

import asyncio
from functools import partial

from sync_streams.processes.per_loop import PerLoop

READ_BYTES = 65_536

_buffers = PerLoop(partial(bytearray, READ_BYTES))


class Reader(asyncio.BufferedProtocol):
    """Stands between a transport and a protocol that takes any amount."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        """Wrap a protocol of the running event loop, which is connected already."""
        self._buffer = memoryview(_buffers.get())
        self._take = protocol.data_received
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the loop's buffer: it is read and emptied within one callback."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._take(bytes(self._buffer[:nbytes]))
