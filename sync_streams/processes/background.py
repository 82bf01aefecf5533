"""Background loops: an event loop in its own thread, for synchronous code.

The thread and its locks belong to the operating system even where gevent or eventlet
have replaced Python's. On one of their threads the loop would run in the worker's only
real thread, where Django then refuses all database access; and their locks do not work
across threads. See
https://www.gevent.org/api/gevent.monkey.html and
https://eventlet.readthedocs.io/en/latest/patching.html.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SECONDS = 2
"""Time for a loop to end its tasks and close its connections."""


class BackgroundLoop:
    """An event loop that runs until :meth:`stop`, or until the process ends."""

    loop: asyncio.AbstractEventLoop
    """The event loop, which takes callbacks and coroutines from other threads."""

    def __init__(self, name: str, begin: Callable[[], None] | None = None) -> None:
        """Start a thread.

        Args:
            name: the thread's.
            begin: called in the loop before anything else, and before this returns.

        Raises:
            OSError: no file descriptors are left for the loop.
            RuntimeError: the system starts no more threads.
        """
        self._begin = begin
        self._started, self._ended = new_lock(), new_lock()
        self._ended.acquire()
        self._started.acquire()
        self.is_running = True
        """Whether the loop still accepts work."""
        self._failure: Exception | None = None
        _start_thread(self._run, name)
        self._started.acquire()
        if self._failure is not None:
            raise self._failure

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Run a coroutine in the loop and wait for it; see :func:`run_on`."""
        return run_on(self.loop, coroutine, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the loop as :func:`asyncio.run` does; wait at most *seconds*."""
        if self.is_running:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._ended.acquire(True, seconds)

    def _run(self) -> None:
        runner = asyncio.Runner()
        try:
            self.loop = runner.get_loop()
        except Exception as error:
            self._failure, self.is_running = error, False
            self._started.release()
            return
        try:
            if self._begin is not None:
                self.loop.call_soon(self._begin)
            self.loop.call_soon(self._started.release)
            self.loop.run_forever()
        finally:
            # Python 3.12 and later starts no thread once the process has begun to exit,
            # not even the one in which the runner waits for those of the loop.
            with suppress(RuntimeError):
                runner.close()
            self.is_running = False
            self._ended.release()


def run_on(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    seconds: float | None = None,
) -> T:
    """Run a coroutine in the loop of another operating system thread; wait for it.

    Under gevent and eventlet, other greenlets of this thread keep running meanwhile.

    Raises:
        TimeoutError: it took longer than *seconds* and was cancelled.
        CancelledError: the one of ``concurrent.futures``: the loop is ending or ended.
    """
    if has_greenlets():
        return _run_cooperatively(loop, coroutine, seconds)
    future = submit(loop, coroutine)
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise


def submit(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]
) -> Future[T]:
    """Start a coroutine in the loop of another thread.

    Raises:
        CancelledError: the one of ``concurrent.futures``: the loop has ended.
    """
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        coroutine.close()
        raise CancelledError from None


def has_greenlets() -> bool:
    """Tell whether gevent or eventlet has replaced Python's threads."""
    return bool(_gevent() or _eventlet())


def new_lock() -> threading.Lock:
    """Return an operating system lock, to be held only briefly."""
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
    try:
        # Only a patched socket can safely wake a greenlet from outside its hub.
        ours, theirs = socket.socketpair()
    except OSError:
        coroutine.close()
        raise

    def start() -> None:
        outcome.append(loop.create_task(coroutine))
        outcome[0].add_done_callback(lambda _: _wake(theirs))

    with ours, theirs:
        ours.settimeout(seconds)
        try:
            loop.call_soon_threadsafe(start)
        except RuntimeError:
            coroutine.close()
            raise CancelledError from None
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
    # A waiter that timed out has closed it.
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
