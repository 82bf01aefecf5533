"""Background loops: an event loop in a thread of its own, for synchronous code.

Its thread and its locks are the operating system's also where gevent or eventlet have
replaced Python's. On a thread of theirs the loop would run in the one thread of the
whole worker, and Django refuses its database to everybody in whose thread an event loop
runs; and their locks are not made for several threads. See
https://www.gevent.org/api/gevent.monkey.html and
https://eventlet.readthedocs.io/en/latest/patching.html.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SECONDS = 2
"""Time that a loop has to end what runs on it and to close its connections."""


class BackgroundLoop:
    """An event loop that runs until :meth:`stop`, or until the process ends."""

    loop: asyncio.AbstractEventLoop
    """The event loop; callbacks and coroutines come to it from other threads."""

    def __init__(self, name: str) -> None:
        """Start the thread.

        Args:
            name: of the thread.
        """
        self._started, self._ended = new_lock(), new_lock()
        self._ended.acquire()
        self._started.acquire()
        self.is_running = True
        """Whether it takes anything more."""
        _start_thread(self._run, name)
        self._started.acquire()

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Run a coroutine in the loop and wait for it; see :func:`run_on`."""
        return run_on(self.loop, coroutine, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the loop as :func:`asyncio.run` ends its own; wait that long at most."""
        if self.is_running:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._ended.acquire(True, seconds)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self.loop = runner.get_loop()
                self.loop.call_soon(self._started.release)
                self.loop.run_forever()
        finally:
            self.is_running = False
            self._ended.release()


def run_on(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    seconds: float | None = None,
) -> T:
    """Run a coroutine in the loop of another thread of the operating system; wait.

    Under gevent and eventlet all else in this thread goes on meanwhile.

    Raises:
        TimeoutError: it took longer than *seconds*; it is cancelled.
        CancelledError: of ``concurrent.futures``: the loop ends, or has ended.
    """
    if loop.is_closed():
        coroutine.close()
        raise CancelledError
    if _gevent() or _eventlet():
        return _run_cooperatively(loop, coroutine, seconds)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise


def new_lock() -> threading.Lock:
    """Return a lock of the operating system's, to be held for moments only."""
    make: Callable[[], threading.Lock] = threading.Lock
    if gevent := _gevent():
        make = gevent.get_original("_thread", "allocate_lock")
    elif eventlet := _eventlet():
        make = eventlet.original("threading").Lock
    return make()


def _run_cooperatively(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    seconds: float | None,
) -> T:
    outcome: list[asyncio.Task[T]] = []
    # Their sockets are what wakes a greenlet safely from outside of their hub.
    ours, theirs = socket.socketpair()

    def start() -> None:
        outcome.append(loop.create_task(coroutine))
        outcome[0].add_done_callback(lambda _: _wake(theirs))

    with ours, theirs:
        ours.settimeout(seconds)
        loop.call_soon_threadsafe(start)
        try:
            ours.recv(1)
        except TimeoutError:
            loop.call_soon_threadsafe(lambda: outcome[0].cancel())
            raise
    try:
        return outcome[0].result()
    except asyncio.CancelledError as error:
        raise CancelledError from error


def _wake(waiter: socket.socket) -> None:
    # Who waited for too long has closed it.
    with suppress(OSError):
        waiter.send(b".")


def _gevent() -> Any:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey if monkey and monkey.is_module_patched("threading") else None


def _eventlet() -> Any:
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher if patcher and patcher.is_monkey_patched("thread") else None


def _start_thread(target: Callable[[], None], name: str) -> None:
    if gevent := _gevent():
        gevent.get_original("_thread", "start_new_thread")(target, ())
        return
    eventlet = _eventlet()
    thread_class = eventlet.original("threading").Thread if eventlet else None
    (thread_class or threading.Thread)(target=target, name=name, daemon=True).start()
