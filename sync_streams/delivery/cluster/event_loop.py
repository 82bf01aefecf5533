"""The event loop that broadcasts for synchronous code."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation

from sync_streams.background import BackgroundLoop, new_lock, run_on
from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

T = TypeVar("T")

LATEST = 3
"""How many ``broadcast_timeout_seconds`` a thread waits for the event loop at most."""


def run_on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop that broadcasts, from synchronous code; wait for it.

    Raises:
        SynchronousOnlyOperation: an event loop runs in this thread.
        ServiceUnavailable: 20503, that loop stops, or is much too late.
    """
    if _is_in_event_loop():
        coroutine.close()
        raise SynchronousOnlyOperation("Use the async twin from async code.")
    seconds = LATEST * get_settings().broadcast_timeout_seconds
    try:
        return run_on(loops.get(), coroutine, seconds)
    except (TimeoutError, CancelledError) as error:
        # The loop hangs, or its server stops: nobody would ever answer.
        raise ServiceUnavailable from error


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let synchronous callers of this process broadcast through *loop*."""
    loops.serving = loop


def call_soon(callback: Callable[[], object]) -> None:
    """Call a function on the loop that broadcasts; from any thread.

    It is not called if that loop ends before.
    """
    with suppress(RuntimeError):
        loops.get().call_soon_threadsafe(callback)


class Loops:
    """The event loop that broadcasts for synchronous code.

    It is the one that serves this process's sockets. Elsewhere (a task queue, a
    command, WSGI) one thread keeps one loop: a loop for each call would leave behind
    a Redis connection each time (https://github.com/django/channels_redis/issues/125).
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew in a forked child, where the parent's loops do not run."""
        self.serving: asyncio.AbstractEventLoop | None = None
        self._own: BackgroundLoop | None = None
        # Another thread may have held it at the moment of a fork.
        self._lock = new_lock()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        if self.serving is not None and self.serving.is_running():
            return self.serving
        with self._lock:
            if self._own is None or not self._own.is_running:
                self._own = BackgroundLoop("sync_streams")
            return self._own.loop

    def elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop that serves this process's sockets, if it is not this one."""
        serving = self.serving
        if serving is None or serving is asyncio.get_running_loop():
            return None
        return serving if serving.is_running() else None

    def stop(self) -> None:
        """End this process's own loop, and its connections; at exit."""
        if self._own is not None:
            self._own.stop()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


loops = Loops()
