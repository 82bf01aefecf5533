"""Departure: a process that stops closes its connections gradually.

A client that is closed while no other process can accept it misses everything until one
can. The connections are therefore closed in small groups, each as soon as another
process says that it has room, and within ``drain_seconds`` in any case.
"""

import asyncio
from math import ceil
from time import monotonic
from weakref import WeakSet

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster import survey
from sync_streams.delivery.cluster.commands import DrainCommand
from sync_streams.delivery.hub import Hub

from .close_codes import CloseCode
from .peers import peers
from .registry import LAST_CLOSES_SECONDS, Connection, connections

GROUPS = 10
"""Number of groups, if another process is ready at once."""

WAIT = 1 / 2
"""Share of ``drain_seconds`` after which they are closed even if none is ready."""


class Departure:
    """Closes this process's connections before it stops."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset: a forked process does not stop with its parent."""
        self._leaving: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to close all connections, unless that is under way; does not wait."""
        if self._leaving is None or self._leaving.done():
            self._leaving = asyncio.ensure_future(_close_gradually())

    async def drain(self) -> None:
        """Accept no more connections and close the existing ones.

        Returns when the last one is gone, at most 2 seconds after ``drain_seconds``.
        """
        connections.is_draining = True
        self.begin()
        window = get_settings().drain_seconds
        await connections.until_empty(window + LAST_CLOSES_SECONDS)


departure = Departure()


async def drain_this(_: Hub, command: DrainCommand) -> None:
    """Execute an operator's command to drain a process, if it names this one."""
    if command["process"] == survey.process_name():
        await departure.drain()


async def _close_gradually() -> None:
    window, began = get_settings().drain_seconds, monotonic()
    reconnect_window = connections.reconnect_window(window)
    told: WeakSet[Connection] = WeakSet()
    while waiting := [one for one in connections if one not in told]:
        share = max(1, ceil(len(waiting) / GROUPS))
        await peers().until_ready(share, began + window * WAIT)
        left = max(0.0, began + window - monotonic())
        pause = min(left, window / GROUPS)
        # Large enough to leave the remaining groups the same time each.
        group = waiting[: ceil(len(waiting) * pause / left)] if left else waiting
        told.update(group)
        for connection in group:
            connection.close_soon(
                CloseCode.GOING_AWAY,
                within=pause,
                reconnect_window=reconnect_window,
            )
        await asyncio.sleep(pause)
