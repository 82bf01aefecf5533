"""Accepts quickly on uvloop, which opens one connection in each iteration of its loop.

The kernel's queue of a port is not ordered by address, so a client behind a thousand
others would wait for a thousand iterations. Here all waiting connections are accepted
as soon as one is opened, and opened in turn, one address after another.
:class:`~sync_streams.daphne.port.CalmPort` does the same for Daphne.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

from sync_streams.conf import get_settings
from sync_streams.connections.fairness import has_left, turns
from sync_streams.processes import descriptors
from sync_streams.processes.per_loop import PerLoop

ACCEPTS = 128
"""Connections accepted at a time: about 1 ms."""

OPEN_SECONDS = 0.0002
"""The cost of opening a connection, in a task and thus in a later iteration."""

FAMILIES = socket.AF_INET, socket.AF_INET6
ANYWHERE = "0.0.0.0", "::"  # noqa: S104 - compared, not bound

Factory = Callable[[], asyncio.Protocol]


class Acceptor:
    """Accepts the connections of an event loop's ports."""

    __slots__ = ("_context", "_loop", "_opening", "_ports", "_waiting")

    def __init__(self) -> None:
        """Create it for the running event loop."""
        self._loop, self._context = asyncio.get_running_loop(), copy_context()
        self._ports: dict[tuple[str, int], int | None] = {}
        self._opening: set[asyncio.Task[Any]] = set()
        self._waiting = 0

    def accept_more(self, transport: asyncio.Transport, factory: Factory) -> None:
        """Accept the connections that wait at the port of a new connection.

        Args:
            transport: of the connection.
            factory: returns the protocol of another connection.
        """
        name = transport.get_extra_info("sockname")
        is_plain = transport.get_extra_info("sslcontext") is None
        if not (is_plain and isinstance(name, tuple) and is_needed(self._loop)):
            return
        key = str(name[0]), int(name[1])
        if key not in self._ports:
            self._ports[key] = find_listener(*key)
        number = self._ports[key]
        if number is not None and not self._accept_all(number, factory):
            self._ports[key] = None

    def _accept_all(self, number: int, factory: Factory) -> bool:
        """Return whether the port is still open."""
        room = get_settings().max_http_connections - self._waiting
        try:
            with borrowed(number) as port:
                for _ in range(min(ACCEPTS, room)):
                    self._take(*port.accept(), factory)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _take(self, client: socket.socket, address: Any, factory: Factory) -> None:
        if descriptors.is_kept_free(client.fileno()):
            client.close()
            return
        client.setblocking(False)
        self._waiting += 1
        turns().run(str(address[0]), partial(self._open, client, factory))

    def _open(self, client: socket.socket, factory: Factory) -> None:
        self._waiting -= 1
        if has_left(client):
            client.close()
            return
        turns().spend(OPEN_SECONDS)
        opening = self._loop.connect_accepted_socket(factory, client)
        task = self._loop.create_task(opening, context=self._context.copy())
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: "asyncio.Task[Any]") -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.exception()  # its client has left already


acceptors = PerLoop(Acceptor)


def is_needed(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a loop accepts one connection at a time; asyncio's accepts all."""
    return type(loop).__module__.startswith("uvloop")


@contextmanager
def borrowed(number: int) -> Iterator[socket.socket]:
    """Use a descriptor of the server's, which may close it at any time.

    Raises: OSError: it has closed it, or it is not a socket.
    """
    found = socket.socket(fileno=number)
    try:
        yield found
    finally:
        found.detach()


def find_listener(address: str, port: int) -> int | None:
    """Return the descriptor of this process that listens at an address, if any."""
    for file in tuple(Path("/dev/fd").iterdir()):
        with suppress(OSError), borrowed(int(file.name)) as found:
            if _listens(found, address, port):
                return int(file.name)
    return None


def _listens(found: socket.socket, address: str, port: int) -> bool:
    if found.family not in FAMILIES or found.type != socket.SOCK_STREAM:
        return False
    host, number, *_ = found.getsockname()
    is_there = number == port and host in {address, *ANYWHERE}
    return bool(is_there and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
