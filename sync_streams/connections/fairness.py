"""Fairness between addresses, before their clients are authenticated.

An event loop processes everything that has arrived before it does anything else, so a
thousand requests at once would stop delivery for a second. Here they are processed in
time slices, one address after another, so that clients of other addresses hardly wait.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from socket import MSG_DONTWAIT, MSG_PEEK, SO_ERROR, SOL_SOCKET, socket
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from sync_streams.conf import get_settings
from sync_streams.processes.per_loop import PerLoop

from .lines import Lines

SLICE_SECONDS = 0.005
"""Time slice in each iteration of uvicorn's event loop; it delivers in between."""

Work = Callable[[], None]


class Turns:
    """Runs work at once while there is little, and otherwise in turn."""

    __slots__ = ("_is_next", "_lines", "_loop", "_seconds", "_spent")

    def __init__(self, seconds: float = SLICE_SECONDS) -> None:
        """Create it for the running event loop.

        Args:
            seconds: time slice in each iteration of the loop.
        """
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._lines: Lines[Work] = Lines()
        self._spent = 0.0
        self._is_next = False

    def run(self, address: str, work: Work) -> bool:
        """Run work now or in a later iteration of the loop; return whether it ran now.

        Work of the same address is run in order.
        """
        if self._lines or self._spent > self._seconds:
            self._lines.add(address, work)
            self._continue_soon()
            return False
        self._run(work)
        return True

    def spend(self, seconds: float) -> None:
        """Count time that the running work will take later."""
        self._spent += seconds

    def _run(self, work: Work) -> None:
        began = perf_counter()
        try:
            work()
        finally:
            self._spent += perf_counter() - began
            # The next iteration starts a new slice.
            if self._lines or self._spent > self._seconds / 2:
                self._continue_soon()

    def _continue_soon(self) -> None:
        if not self._is_next:
            self._is_next = True
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._is_next, self._spent = False, 0.0
        while self._lines and self._spent <= self._seconds:
            self._run(self._lines.take())


def has_left(client: socket) -> bool:
    """Tell whether the client of a connection that is not open yet has left.

    A client that has sent a request and closed its sending side may wait for an answer.
    """
    try:
        is_reset = client.getsockopt(SOL_SOCKET, SO_ERROR)
        return bool(is_reset) or not client.recv(1, MSG_PEEK | MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


_turns = PerLoop(Turns)


def turns() -> Turns:
    """Return the turns of the running event loop."""
    return _turns.get()


class Connection(Protocol):
    """A connection of a server."""

    @property
    def address(self) -> str:
        """The client's IP address, or empty."""


C = TypeVar("C", bound=Connection)


class Crowd(Generic[C]):
    """A server's connections, and which one to close when there are too many."""

    __slots__ = ("_all", "_counts", "_waiting")

    def __init__(self) -> None:
        """Create it without connections."""
        self._all: set[C] = set()
        self._counts: Counter[str] = Counter()
        self._waiting: dict[C, None] = {}

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._all)

    def __iter__(self) -> Iterator[C]:
        """Return an iterator over the connections."""
        return iter(tuple(self._all))

    def add(self, connection: C) -> None:
        """Add a connection, which waits for its client."""
        self._all.add(connection)
        self._counts[connection.address] += 1
        self._waiting[connection] = None

    def discard(self, connection: C) -> None:
        """Remove a connection, unless it has left already."""
        self.answer(connection)
        if connection not in self._all:
            return
        self._all.remove(connection)
        self._counts[connection.address] -= 1
        if not self._counts[connection.address]:
            del self._counts[connection.address]

    def wait(self, connection: C) -> None:
        """Record that a connection waits for its client, if it did not before."""
        if connection in self._all:
            self._waiting.setdefault(connection)

    def answer(self, connection: C) -> None:
        """Record that a client waits for the server."""
        self._waiting.pop(connection, None)

    def make_room(self, newcomer: C, *, is_last: bool) -> C | None:
        """Return the connection to close if there is no room for a new one.

        Args:
            newcomer: the new one, already added.
            is_last: whether it has one of the last descriptors.
        """
        is_full = len(self) > get_settings().max_http_connections
        if not (is_full or is_last):
            return None
        found = self.expendable()
        # It may be anything but a WebSocket, such as a health check.
        return found if is_full or found is not newcomer else None

    def expendable(self) -> C | None:
        """Return the connection to close for a new one.

        Of the address with the most connections, it is the one that has waited longest
        for its client: otherwise a client that opens many would close those of all
        others. If all of them wait for the server, and are more than half of all
        connections, it is any of them.
        """
        address = max(self._counts, key=self._counts.__getitem__, default="")
        waiting = next((c for c in self._waiting if c.address == address), None)
        if waiting is not None or not self._waiting:
            return waiting
        if 2 * self._counts[address] > len(self._all):
            return next(c for c in self._all if c.address == address)
        return next(iter(self._waiting))
