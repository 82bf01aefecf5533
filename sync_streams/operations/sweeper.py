"""Sweeper: removes expired Streams from the database while a server process runs.

Nothing waits for it: when its time is over a Stream is gone for every operation, and
hubs tell their subscribers. What is left for the sweeper are the row, and
``stream_removed`` for the host project and webhooks. Every process sweeps; each Stream
is removed by one of them. Without a server, ``manage.py expire_streams`` does the same.
"""

import asyncio
import logging
import random
from typing import Any

from channels.db import database_sync_to_async
from django.core.signals import request_started

from sync_streams import operations
from sync_streams.conf import get_settings
from sync_streams.per_loop import PerLoop

logger = logging.getLogger(__name__)

_tasks = PerLoop(lambda: asyncio.create_task(_sweep_for_ever()))


def start() -> None:
    """Sweep in the running event loop from now on; once for each."""
    if get_settings().expiry_interval_seconds > 0:
        _tasks.get()


def pause(interval: float) -> float:
    """Return the seconds until the next sweep: processes do not sweep together."""
    return max(interval, 0.1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


async def on_first_request(scope: Any = None, **_: object) -> None:
    """Start with the first request of a process that serves ASGI."""
    request_started.disconnect(on_first_request)
    # Under WSGI there is no event loop that goes on after the request.
    if scope is not None:
        start()


async def _sweep_for_ever() -> None:
    # Not on the thread that synchronous views share: a sweep may take a while.
    sweep = database_sync_to_async(operations.expire_streams, thread_sensitive=False)
    while True:
        await asyncio.sleep(pause(get_settings().expiry_interval_seconds))
        try:
            await sweep()
        except Exception as error:
            # Most often the database is away for a moment; the next sweep does it all.
            logger.warning("expired Streams were not removed: %r", error)
