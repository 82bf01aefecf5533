"""Slots: bound the concurrent calls of a channel layer that is not ours.

The core layer of channels-redis opens a connection for each call, and redis-py limits a
pool to 100 of them: hundreds of simultaneous subscribes, unsubscribes or publishes
would be refused. Our own layers send all of a process's calls over one connection.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

from channels.layers import BaseChannelLayer

from sync_streams.processes.per_loop import PerLoop

from .servers import is_ours

MAX_CALLS = 32
"""Concurrent calls; others wait. The rest of the pool is for receiving and probes."""

_slots = PerLoop(lambda: asyncio.Semaphore(MAX_CALLS))


def slot(layer: BaseChannelLayer) -> AbstractAsyncContextManager[None]:
    """Return a context for one call of the layer; entering it waits for a free slot."""
    return nullcontext() if is_ours(layer) else _slots.get()
