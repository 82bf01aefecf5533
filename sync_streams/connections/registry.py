"""Connections of this process: how many it accepts, and how it closes them.

A process that is full or behind rejects new connections and keeps those it has.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster import survey
from sync_streams.delivery.cluster.commands import DisconnectCommand
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.errors import TooManyRequests
from sync_streams.models import Service
from sync_streams.processes import descriptors

from .close_codes import CloseCode

LAST_CLOSES_SECONDS = 2
"""Time for the last connection to close."""


class Connection(Protocol):
    """A connection, as the process's registry sees it."""

    outbox: Outbox
    since: float
    """Start of the connection, in seconds since 1970."""

    client: str
    """The client's own name for itself, at most 80 characters, unverified."""

    @property
    def service(self) -> Service | None:
        """The Service of its Streams; None until the client has authenticated."""

    @property
    def identity_name(self) -> str:
        """The recipient: from an access token or the host project; may be empty."""

    @property
    def transport(self) -> str:
        """Name of the protocol in metrics."""

    @property
    def protocol_name(self) -> str:
        """Name of the protocol shown to operators."""

    @property
    def address(self) -> str:
        """IP address of the client or its last proxy; empty if the server has none."""

    def close_soon(
        self, code: CloseCode, *, within: float = 0, reconnect_window: float = 0
    ) -> None:
        """Close the connection, at a random time in the next *within* seconds.

        Args:
            code: why.
            within: 0: now.
            reconnect_window: seconds over which its client and others are to spread
                their reconnects; 0: it may reconnect at once.
        """


class Connections:
    """All connections of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset: no connections, not draining."""
        self._live: WeakSet[Connection] = WeakSet()
        self.by_transport: Counter[str] = Counter()
        """Number of connections by transport, updated as they open and close."""
        self._second, self._arrivals = 0, 0
        self._last_left: asyncio.Event | None = None
        self.is_draining = False
        """Whether the process is stopping and accepts no more connections."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._live)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over a snapshot."""
        return iter(tuple(self._live))

    @property
    def slowest_seconds(self) -> float:
        """Longest latest round trip of any connection."""
        return max((one.outbox.acknowledgements.seconds for one in self), default=0.0)

    def add(self, connection: Connection) -> None:
        """Add a connection, authenticated or not."""
        self._live.add(connection)
        self.by_transport[connection.transport] += 1

    def discard(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        if connection in self._live:
            self.by_transport[connection.transport] -= 1
        self._live.discard(connection)
        if not self._live and self._last_left is not None:
            self._last_left.set()

    def accept_newcomer(self) -> None:
        """Accept one more connection, or reject it.

        Raises:
            TooManyRequests: 20429, the process is full (``max_connections``), receives
                too many at a time (``max_connects_per_second``), is more than
                ``max_lag_seconds`` behind, has few file descriptors left, or is
                draining.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._arrivals = second, 0
        self._arrivals += 1
        is_burst = self._arrivals > get_settings().max_connects_per_second
        if is_burst or not self.have_room_for(0):
            raise TooManyRequests

    def have_room_for(self, count: int) -> bool:
        """Return whether the process accepts so many connections besides those here."""
        settings = get_settings()
        return not (
            self.is_draining
            or len(self._live) + count > settings.max_connections
            or get_hub().lag > settings.max_lag_seconds
            or descriptors.are_scarce()
        )

    def close_all(self, code: CloseCode, *, within: float) -> None:
        """Close every connection within that many seconds."""
        window = self.reconnect_window(within)
        for connection in self:
            connection.close_soon(code, within=within, reconnect_window=window)

    def reconnect_window(self, within: float) -> float:
        """Return the seconds over which connections closed now should reconnect.

        0 means immediately, since they close over *within* seconds. If one process
        cannot accept them all in that time (``max_connects_per_second``), the result is
        the time that it needs.
        """
        seconds = len(self._live) / get_settings().max_connects_per_second
        return seconds if seconds > within else 0.0

    async def until_empty(self, seconds: float) -> None:
        """Wait until the last connection is gone, for at most so many seconds."""
        self._last_left = asyncio.Event()
        if self._live:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._last_left.wait()


connections = Connections()


def jitter(within: float) -> float:
    """Return a random delay of up to *within* seconds."""
    return random.uniform(0, within)  # noqa: S311 - no secret


def close_all_unreachable() -> None:
    """Close every connection: this process is unreachable, but others may not be."""
    connections.close_all(CloseCode.GOING_AWAY, within=get_settings().drain_seconds)


async def disconnect(_: Hub, command: DisconnectCommand) -> None:
    """Execute an operator's command to close connections; reply with their number."""
    targets = [one for one in connections if _is_meant(one, command)]
    for connection in targets:
        connection.close_soon(CloseCode.DISCONNECTED)
    await survey.reply(command, count=len(targets))


def _is_meant(connection: Connection, command: DisconnectCommand) -> bool:
    service = connection.service
    if service is None:
        return False
    target = command["service_sid"], command["identity"]
    only = command.get("connection_id", connection.outbox.connection_id)
    is_it = only == connection.outbox.connection_id
    return is_it and (service.sid, connection.identity_name) == target


FIGURES: dict[str, Callable[[], int]] = {
    "connections": lambda: len(connections),
    "leaving": lambda: int(connections.is_draining),
    "slowest_ms": lambda: round(connections.slowest_seconds * 1000),
}
"""Figures on connections in a process's stats."""
