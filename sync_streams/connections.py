"""Connections of this process: how many may be, how they are sent away.

A process that is full, or behind with its work, refuses newcomers with a delay and
leaves those that are there in peace. One that stops sends its connections away spread
over a while, so that they do not all arrive elsewhere at once.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import Any, Protocol
from weakref import WeakSet

from .conf import get_settings
from .delivery import hub, occupancy, orders
from .delivery.outbox import Outbox
from .errors import TooManyRequests
from .models import Service
from .tokens import Identity

LAST_CLOSES_SECONDS = 2
"""Time that the last connection sent away has to close."""


class CloseCode(IntEnum):
    """Why the server ends a connection; the number is the WebSocket close code.

    All are of the range that RFC 6455, section 7.4.2, leaves to applications: Daphne
    refuses to send another one.
    """

    TOO_SLOW = 4000
    """The client takes nothing any more; come back when it can."""

    NOT_CONNECTED = 4001
    """No access token came in time, as over a bad network; come back."""

    TOKEN_INVALID = 4002
    """The access token was refused, or its key removed."""

    TOKEN_EXPIRED = 4003
    """The access token lapsed; come back with another one."""

    TOO_MANY_FRAMES = 4004
    """The client goes on sending more than it may; come back more quietly."""

    PROTOCOL_VIOLATED = 4005
    """The client does not speak the protocol."""

    SERVER_BUSY = 4006
    """The process takes no more connections now; come back later."""

    DISCONNECTED = 4007
    """An operator ended the connections of this identity."""

    SERVER_LEAVING = 4008
    """The process stops or hears nothing any more; come back, to another one."""

    @property
    def reason(self) -> str:
        """English text for the wire."""
        return self.name.replace("_", " ").lower()

    @property
    def may_reconnect(self) -> bool:
        """Whether the same client may come back by itself."""
        return self not in {
            CloseCode.PROTOCOL_VIOLATED,
            CloseCode.TOKEN_INVALID,
            CloseCode.DISCONNECTED,
        }


class Connection(Protocol):
    """What the process knows of each of its connections."""

    identity: Identity | None
    service: Service | None
    outbox: Outbox

    def leave_soon(self, code: CloseCode, *, within: float = 0) -> None:
        """End the connection, at a random moment of the next *within* seconds."""


class Connections:
    """Every connection of this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._live: WeakSet[Connection] = WeakSet()
        self._second, self._arrivals = 0, 0
        self._last_left: asyncio.Event | None = None
        self.is_leaving = False
        """Whether the process takes no more connections because it stops."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._live)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over a snapshot."""
        return iter(tuple(self._live))

    @property
    def slowest_seconds(self) -> float:
        """Longest time that any connection took for its last timed answer."""
        return max((one.outbox.answers.seconds for one in self), default=0.0)

    def add(self, connection: Connection) -> None:
        """Take a connection in, admitted or not."""
        self._live.add(connection)

    def discard(self, connection: Connection) -> None:
        """Let a connection go."""
        self._live.discard(connection)
        if not self._live and self._last_left is not None:
            self._last_left.set()

    def admit(self) -> None:
        """Let one more connection say who it is.

        Raises:
            TooManyRequests: 20429, the process is full (``max_connections``), gets too
                many at a time (``max_connects_per_second``), is more than
                ``max_lag_seconds`` behind, or stops.
        """
        settings = get_settings()
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._arrivals = second, 0
        self._arrivals += 1
        if (
            self.is_leaving
            or len(self._live) > settings.max_connections
            or self._arrivals > settings.max_connects_per_second
            or hub.get_hub().lag > settings.max_lag_seconds
        ):
            raise TooManyRequests

    def send_away(self, code: CloseCode, *, within: float) -> None:
        """End every connection within so many seconds."""
        for connection in self:
            connection.leave_soon(code, within=within)

    def return_seconds(self, within: float) -> float:
        """Return over how long those who leave within so many seconds may come back.

        0: as they leave, which is soonest. A herd, more than one process would let in
        meanwhile (``max_connects_per_second``), has to take the time that this takes.
        """
        seconds = len(self._live) / get_settings().max_connects_per_second
        return seconds if seconds > within else 0.0

    async def drain(self) -> None:
        """Take no more connections and send away those that are there.

        Returns when the last one is gone, at the latest 2 seconds after
        ``drain_seconds``.
        """
        self.is_leaving = True
        window = get_settings().drain_seconds
        self.send_away(CloseCode.SERVER_LEAVING, within=window)
        self._last_left = asyncio.Event()
        if self._live:
            with suppress(TimeoutError):
                async with asyncio.timeout(window + LAST_CLOSES_SECONDS):
                    await self._last_left.wait()


connections = Connections()


def spread(within: float) -> float:
    """Return a random moment of the next *within* seconds."""
    return random.uniform(0, within)  # noqa: S311 - spread, not secret


def _send_away_when_deaf() -> None:
    connections.send_away(CloseCode.SERVER_LEAVING, within=get_settings().drain_seconds)


async def _disconnect(_: hub.Hub, order: Any) -> None:
    for connection in connections:
        identity, service = connection.identity, connection.service
        if identity is None or service is None:
            continue
        if (service.sid, identity.name) == (order["service_sid"], order["identity"]):
            connection.leave_soon(CloseCode.DISCONNECTED)


async def _drain(_: hub.Hub, order: Any) -> None:
    if order["process"] == occupancy.process_name():
        await connections.drain()


hub.when_deaf.append(_send_away_when_deaf)
hub.handlers |= {orders.DISCONNECT: _disconnect, orders.DRAIN: _drain}
occupancy.figures |= {
    "connections": lambda: len(connections),
    "leaving": lambda: int(connections.is_leaving),
    "slowest_ms": lambda: round(connections.slowest_seconds * 1000),
}
