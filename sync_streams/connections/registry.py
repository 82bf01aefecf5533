"""Connections of this process: how many it accepts, how it closes them.

A process that is full, or behind with its work, rejects newcomers and leaves the
connections it has alone. One that stops closes them over a while, so that they do not
all arrive elsewhere at once.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

from sync_streams import descriptors
from sync_streams.conf import get_settings
from sync_streams.delivery.cluster import survey
from sync_streams.delivery.cluster.commands import DisconnectCommand, DrainCommand
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.errors import TooManyRequests
from sync_streams.models import Service
from sync_streams.tokens import Identity

from .close_codes import CloseCode

LAST_CLOSES_SECONDS = 2
"""Time that the last connection has to close."""


class Connection(Protocol):
    """What the process knows of each of its connections."""

    identity: Identity | None
    service: Service | None
    outbox: Outbox
    since: float
    """When it began, in seconds since 1970."""

    client: str
    """What its client calls itself, at most 80 characters; nobody checks it."""

    @property
    def transport(self) -> str:
        """The protocol, as metrics name it."""

    @property
    def protocol_name(self) -> str:
        """The protocol, as operators are shown it."""

    @property
    def address(self) -> str:
        """IP address of the client or its last proxy; empty: the server said none."""

    def close_soon(self, code: CloseCode, *, within: float = 0) -> None:
        """End the connection, at a random moment of the next *within* seconds."""


class Connections:
    """Every connection of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have no connections, and accept some."""
        self._live: WeakSet[Connection] = WeakSet()
        self._second, self._arrivals = 0, 0
        self._last_left: asyncio.Event | None = None
        self.is_draining = False
        """Whether the process accepts no more connections because it stops."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._live)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over a snapshot."""
        return iter(tuple(self._live))

    @property
    def slowest_seconds(self) -> float:
        """Longest time that any connection took for its last timed answer."""
        return max((one.outbox.acknowledgements.seconds for one in self), default=0.0)

    def add(self, connection: Connection) -> None:
        """Add a connection, authenticated or not."""
        self._live.add(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._live.discard(connection)
        if not self._live and self._last_left is not None:
            self._last_left.set()

    def accept_newcomer(self) -> None:
        """Accept one more connection, or reject it.

        Raises:
            TooManyRequests: 20429, the process is full (``max_connections``), gets too
                many at a time (``max_connects_per_second``), is more than
                ``max_lag_seconds`` behind, has few file descriptors left, or stops.
        """
        settings = get_settings()
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._arrivals = second, 0
        self._arrivals += 1
        if (
            self.is_draining
            or len(self._live) > settings.max_connections
            or self._arrivals > settings.max_connects_per_second
            or get_hub().lag > settings.max_lag_seconds
            or descriptors.are_scarce()
        ):
            raise TooManyRequests

    def close_all(self, code: CloseCode, *, within: float) -> None:
        """End every connection within so many seconds."""
        for connection in self:
            connection.close_soon(code, within=within)

    def reconnect_window(self, within: float) -> float:
        """Return over how many seconds connections that close now should reconnect.

        0: at once, as they close over *within* seconds. More of them than one process
        accepts in that time (``max_connects_per_second``) need as long as that takes.
        """
        seconds = len(self._live) / get_settings().max_connects_per_second
        return seconds if seconds > within else 0.0

    async def drain(self) -> None:
        """Accept no more connections and close those that are there.

        Returns when the last one is gone, at the latest 2 seconds after
        ``drain_seconds``.
        """
        self.is_draining = True
        window = get_settings().drain_seconds
        self.close_all(CloseCode.SERVER_LEAVING, within=window)
        self._last_left = asyncio.Event()
        if self._live:
            with suppress(TimeoutError):
                async with asyncio.timeout(window + LAST_CLOSES_SECONDS):
                    await self._last_left.wait()


connections = Connections()


def jitter(within: float) -> float:
    """Return a random moment of the next *within* seconds."""
    return random.uniform(0, within)  # noqa: S311 - no secret


def close_all_unreachable() -> None:
    """End every connection: this process stays unreachable, others may not be."""
    connections.close_all(CloseCode.SERVER_LEAVING, within=get_settings().drain_seconds)


async def disconnect(_: Hub, command: DisconnectCommand) -> None:
    """Carry out an operator's command to end connections, and say how many."""
    targets = [one for one in connections if _is_meant(one, command)]
    for connection in targets:
        connection.close_soon(CloseCode.DISCONNECTED)
    await survey.reply(command, count=len(targets))


async def drain(_: Hub, command: DrainCommand) -> None:
    """Carry out an operator's command to drain a process, if it names this one."""
    if command["process"] == survey.process_name():
        await connections.drain()


def _is_meant(connection: Connection, command: DisconnectCommand) -> bool:
    identity, service = connection.identity, connection.service
    if identity is None or service is None:
        return False
    target = command["service_sid"], command["identity"]
    only = command.get("connection_id", connection.outbox.connection_id)
    is_it = only == connection.outbox.connection_id
    return is_it and (service.sid, identity.name) == target


FIGURES: dict[str, Callable[[], int]] = {
    "connections": lambda: len(connections),
    "leaving": lambda: int(connections.is_draining),
    "slowest_ms": lambda: round(connections.slowest_seconds * 1000),
}
"""What a process tells of its connections when it is asked for its stats."""
