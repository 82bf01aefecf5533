"""Termination: holds SIGTERM back from the server until the connections are closed.

On SIGTERM most servers close their WebSockets without notifying the application, so
clients would not learn when to reconnect. A process therefore drains first and then
passes the signal on to its server; a second SIGTERM is passed on at once.

Servers receive signals in two ways: in a Python function (:func:`signal.signal`:
uvicorn, Daphne), or from a file descriptor that their event loop reads (gunicorn,
Granian: ``loop.add_signal_handler`` uses :func:`signal.set_wakeup_fd`). See
https://docs.python.org/3/library/signal.html.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sync_streams.delivery.tasks import Tasks

from .departure import departure

EVENT_LOOPS = {"asyncio", "uvloop", "rloop", "winloop"}
"""Packages whose event loops read signals."""

HAND_ON_BYTES = 4096


class Termination:
    """Handles SIGTERM for this process."""

    def __init__(self) -> None:
        self._is_watching = self._has_begun = False
        self._tasks = Tasks()
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._handler: Callable[[int, Any], Any] | None = None

    def drain_first(self) -> None:
        """Drain on SIGTERM from now on, before the server gets it; call on its loop.

        Only the main thread receives signals. A server without a handler of its own is
        stopped in another way, or ends immediately.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if self._is_watching or not is_main:
            return
        self._is_watching = True
        loop, handler = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        if _is_of_an_event_loop(handler):
            self._read_first(loop)
        elif callable(handler):
            self._handle_first(loop, handler)

    def leave_to_server(self) -> None:
        """Do not intervene: the server drains by itself."""
        self._is_watching = True

    def forget(self) -> None:
        """Restore the signal's handling in a forked child, which has no server."""
        if self._ends is not None:
            signal.set_wakeup_fd(-1)
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)

    def _handle_first(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[[int, Any], Any]
    ) -> None:
        def handle(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(self._begin, lambda: handler(number, None))

        self._handler = handler
        signal.signal(signal.SIGTERM, handle)

    def _read_first(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        server = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

        def read() -> None:
            with suppress(BlockingIOError):
                for number in ours.recv(HAND_ON_BYTES):
                    hand_on = _writing(server, number)
                    if number == signal.SIGTERM:
                        self._begin(hand_on)
                    else:
                        hand_on()

        loop.add_reader(ours, read)
        self._ends = ours, theirs

    def _begin(self, hand_on: Callable[[], None]) -> None:
        if self._has_begun:
            hand_on()
            return
        self._has_begun = True
        self._tasks.spawn(self._drain(hand_on))

    async def _drain(self, hand_on: Callable[[], None]) -> None:
        try:
            await departure.drain()
        finally:
            hand_on()


def _is_of_an_event_loop(handler: object) -> bool:
    # Their handlers do nothing: the loop reads the signal's number instead.
    package = str(getattr(handler, "__module__", "")).partition(".")[0]
    return package in EVENT_LOOPS


def _writing(fd: int, number: int) -> Callable[[], None]:
    def write() -> None:
        with suppress(OSError):
            os.write(fd, bytes([number]))

    return write


termination = Termination()
