"""The event loop that broadcasts for synchronous code."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from threading import Lock, Thread
from typing import Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation

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
    return _loops.run(coroutine)


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let synchronous callers of this process broadcast through *loop*."""
    _loops.serving = loop


class _Loops:
    """The event loop that broadcasts for synchronous code.

    It is the one that serves this process's sockets. Elsewhere (a task queue, a
    command, WSGI) one thread keeps one loop: a loop for each call would leave behind
    a Redis connection each time (https://github.com/django/channels_redis/issues/125).
    """

    def __init__(self) -> None:
        self.serving: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._lock = Lock()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if _is_in_event_loop():
            coroutine.close()
            raise SynchronousOnlyOperation("Use the async twin from async code.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop())
        try:
            return future.result(LATEST * get_settings().broadcast_timeout_seconds)
        except (TimeoutError, CancelledError) as error:
            # The loop hangs, or its server stops: nobody would ever answer.
            future.cancel()
            raise ServiceUnavailable from error

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self.serving is not None and self.serving.is_running():
            return self.serving
        with self._lock:
            # A thread does not survive a fork, hence the look at its life.
            if self._own is None or self._thread is None or not self._thread.is_alive():
                self._own = asyncio.new_event_loop()
                self._thread = Thread(
                    target=self._own.run_forever, name="sync_streams", daemon=True
                )
                self._thread.start()
        return self._own


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_loops = _Loops()
