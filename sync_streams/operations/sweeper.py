"""Sweeper: removes expired Streams from the database while a server process runs.

Nothing waits for it: an expired Stream is gone for every operation, and hubs tell their
subscribers. The sweeper only removes the row and sends ``stream_removed`` to the host
project and webhooks. Every process sweeps, and each Stream is removed by one of them.
Without a server, ``manage.py expire_streams`` does the same.
"""

import asyncio
import logging
import random
from typing import Any

from channels.db import database_sync_to_async
from django.core.signals import request_started

from sync_streams import operations
from sync_streams.conf import get_settings
from sync_streams.processes.per_loop import PerLoop

logger = logging.getLogger(__name__)

_tasks = PerLoop(lambda: asyncio.create_task(_sweep_for_ever()))


def start() -> None:
    """Start sweeping in the running event loop, unless already started."""
    if get_settings().expiry_interval_seconds > 0:
        _tasks.get()


def pause(interval: float) -> float:
    """Return the seconds until the next sweep, with jitter between processes."""
    return max(interval, 0.1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


async def on_first_request(scope: Any = None, **_: object) -> None:
    """Start with the first ASGI request of a process."""
    request_started.disconnect(on_first_request)
    # Under WSGI no event loop outlives the request.
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
            # Usually the database is briefly down; the next sweep catches up.
            logger.warning("expired Streams were not removed: %r", error)
