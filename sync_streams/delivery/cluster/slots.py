"""Slots: bound the concurrent calls of a channel layer that is not ours.

The core layer of channels-redis opens a connection for each call, and redis-py limits a
pool to 100 of them: hundreds of simultaneous subscribes, unsubscribes or publishes
would be refused. Our own layers send all of a process's calls over one connection. Each
server has its own pool and therefore its own slots: one that hangs delays no other.
"""

import asyncio
from collections import defaultdict
from contextlib import AbstractAsyncContextManager, nullcontext

from channels.layers import BaseChannelLayer

from sync_streams.processes.per_loop import PerLoop

from .servers import is_ours, server_of

MAX_CALLS = 32
"""Concurrent calls for each server; others wait. The rest of its pool is for receiving
and probes."""

_Slots = defaultdict[int, asyncio.Semaphore]
"""Slots by the number of the server."""

_slots = PerLoop(lambda: _Slots(lambda: asyncio.Semaphore(MAX_CALLS)))


def slot(layer: BaseChannelLayer, group: str) -> AbstractAsyncContextManager[None]:
    """Return a context for one call about a group.

    Entering it waits for a free slot of the server that the group is on.
    """
    if is_ours(layer):
        return nullcontext()
    return _slots.get()[server_of(layer, group)]
