"""Cutoff: closing a connection does not wait for ever for its client to read.

``transport.close()`` first sends everything that is left. A client that reads nothing
would keep the connection, and a stopping server, for as long as it likes.
"""

import asyncio


def cut_off(transport: asyncio.Transport, seconds: float) -> asyncio.TimerHandle | None:
    """Abort a transport in so many seconds, if its client has not read everything.

    Whoever closes the transport cancels this when the connection is lost.
    """
    if not transport.get_write_buffer_size():
        return None
    return asyncio.get_running_loop().call_later(seconds, transport.abort)
