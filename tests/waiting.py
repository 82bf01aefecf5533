"""Waiting for what nobody announces."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PAUSE_SECONDS = 0.005
SYNC_PAUSE_SECONDS = 0.05
"""Longer, since what is looked at without an event loop is mostly another process."""


async def until(find: Callable[[], Found], within: float = 30) -> Found:
    """Look until there is something true to return."""
    async with asyncio.timeout(within):
        while not (found := find()):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def wait_until(find: Callable[[], Found], within: float = 30) -> Found:
    """Do as :func:`until` does, in code that is not asynchronous."""
    ends = time.monotonic() + within
    while not (found := find()):
        assert time.monotonic() < ends, f"waited {within} s in vain"
        time.sleep(SYNC_PAUSE_SECONDS)
    return found
