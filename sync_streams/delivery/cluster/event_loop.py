"""The event loop that broadcasts for synchronous code."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable
from sync_streams.processes.background import BackgroundLoop, new_lock, run_on
from sync_streams.values.throttle import Throttle

logger = logging.getLogger(__name__)

T = TypeVar("T")

LATEST = 3
"""Maximum wait of a thread for the event loop, in ``broadcast_timeout_seconds``."""

LOG_SECONDS = 1
"""Time between two log lines about a loop that cannot be started."""


def run_on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the broadcasting loop, from synchronous code; wait for it.

    Raises:
        SynchronousOnlyOperation: an event loop is running in this thread.
        ServiceUnavailable: 20503, the broadcasting loop is stopping or hangs, or cannot
            be started or reached because no file descriptors are left.
    """
    if _is_in_event_loop():
        coroutine.close()
        raise SynchronousOnlyOperation("Use the async twin from async code.")
    seconds = LATEST * get_settings().broadcast_timeout_seconds
    try:
        loop = loops.get()
    except ServiceUnavailable:
        coroutine.close()
        raise
    try:
        return run_on(loop, coroutine, seconds)
    except (OSError, CancelledError) as error:
        # The loop hangs or its server is stopping: there would never be a result.
        raise ServiceUnavailable from error


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Make synchronous callers in this process broadcast through *loop*."""
    loops.serving = loop


def call_soon(callback: Callable[[], object]) -> None:
    """Call a function on the broadcasting loop, from any thread.

    It is not called if that loop ends first, or cannot be started.
    """
    with suppress(RuntimeError, ServiceUnavailable):
        loops.get().call_soon_threadsafe(callback)


class Loops:
    """The event loop that broadcasts for synchronous code.

    It is the one that serves this process's sockets. Elsewhere (a task queue, a
    command, WSGI) a thread runs one loop for all calls: a new loop for each would leave
    a Redis connection behind (https://github.com/django/channels_redis/issues/125).
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset in a forked child, where the parent's loops do not run."""
        self.serving: asyncio.AbstractEventLoop | None = None
        self._own: BackgroundLoop | None = None
        self._failures = Throttle(LOG_SECONDS)
        # Another thread may have held the old lock at the time of the fork.
        self._lock = new_lock()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop.

        Raises:
            ServiceUnavailable: 20503, no file descriptors or threads are left for it.
        """
        if self.serving is not None and self.serving.is_running():
            return self.serving
        with self._lock:
            if self._own is None or not self._own.is_running:
                self._own = self._start()
            return self._own.loop

    def _start(self) -> BackgroundLoop:
        try:
            return BackgroundLoop("sync_streams")
        except (OSError, RuntimeError) as error:
            if self._failures.allows():
                logger.error("no event loop could be started: %r", error)
            raise ServiceUnavailable from error

    def elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop that serves this process's sockets, if it is not this one."""
        serving = self.serving
        if serving is None or serving is asyncio.get_running_loop():
            return None
        return serving if serving.is_running() else None

    def stop(self) -> None:
        """Stop this process's own loop and its connections, at exit."""
        if self._own is not None:
            self._own.stop()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


loops = Loops()
