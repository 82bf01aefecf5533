"""Waiting for conditions without a notification."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PAUSE_SECONDS = 0.005
SYNC_PAUSE_SECONDS = 0.05
"""Longer, since without an event loop it is mostly another process that is observed."""


async def until(find: Callable[[], Found], within: float = 30) -> Found:
    """Repeat until the result is true, and return it."""
    async with asyncio.timeout(within):
        while not (found := find()):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def wait_until(find: Callable[[], Found], within: float = 30) -> Found:
    """Like :func:`until`, in synchronous code."""
    ends = time.monotonic() + within
    while not (found := find()):
        assert time.monotonic() < ends, f"waited {within} s in vain"
        time.sleep(SYNC_PAUSE_SECONDS)
    return found
