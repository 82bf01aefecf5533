"""Probe: proves that what is sent to a group still reaches this process.

A process whose layer has lost its groups, or its connection, looks healthy and is deaf:
its sockets stay open and receive nothing. So it sends an event to a group of its own
from time to time, over each of the layer's servers. One that does not come back means
joining every group again; then connecting anew; and, if that helps nothing for long,
telling the connections to go elsewhere.
"""

import asyncio
import logging
import random
from contextlib import suppress
from time import monotonic
from typing import Protocol

from sync_streams.conf import get_settings
from sync_streams.delivery.counters import counters

from .backpressure import backpressure
from .broadcast import send_to_group

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 3600
"""How often all groups are joined again without need: layers forget after a day."""

UNREACHABLE_PAUSE_SECONDS = 0.5
"""How often a process that hears nothing tries again."""


class Membership(Protocol):
    """What a probe does about a server that this process does not hear."""

    async def rejoin(self, server: int) -> bool:
        """Join every group on it again, the probe's among them; tell if it could."""

    async def reconnect(self, server: int) -> None:
        """Listen to it by new connections."""

    def give_up(self) -> None:
        """Take note that the process stays deaf."""


class Probe:
    """Watches over one process's hearing of one server."""

    def __init__(self, membership: Membership, *, server: int, group: str) -> None:
        """Make a probe.

        Args:
            membership: whose hearing it watches over.
            server: the number of the layer's server.
            group: a group on it that this process alone is in.
        """
        self.group = group
        """The group that this process alone is in."""
        self.lag = 0.0
        """Seconds by which the event loop last was late."""
        self._membership, self._server = membership, server
        self._heard = asyncio.Event()
        self._doubted = asyncio.Event()
        self._unreachable_since: float | None = None
        self._refreshed = monotonic()

    @property
    def is_unreachable(self) -> bool:
        """Whether the last probe did not come back."""
        return self._unreachable_since is not None

    def hear(self) -> None:
        """Take note that the probe came back."""
        self._heard.set()

    def doubt(self) -> None:
        """Take this process for deaf until a probe, sent at once, comes back."""
        self._mark_unreachable()
        self._doubted.set()

    async def watch(self) -> None:
        """Send probes for ever."""
        while True:
            await self._rest()
            # Groups first: the probe of one that is lost is waited for in vain.
            has_joined = not self.is_unreachable or await self._membership.rejoin(
                self._server
            )
            if has_joined and await self._returns():
                await self._succeed()
            else:
                await self._fail()

    async def _rest(self) -> None:
        # Processes that were started together do not ask together.
        pause = get_settings().probe_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if self.is_unreachable:
            pause = min(pause, UNREACHABLE_PAUSE_SECONDS)
        before = monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._doubted.wait()
                self._doubted.clear()
                return
        self.lag = monotonic() - before - pause

    async def _returns(self) -> bool:
        self._heard.clear()
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                event = {"type": "probe", "server": self._server}
                await send_to_group(self.group, event)
                await self._heard.wait()
        except Exception as error:
            # Layers are pluggable and their errors share no base class.
            logger.warning("probe did not come back: %r", error)
            return False
        return True

    async def _succeed(self) -> None:
        self._unreachable_since = None
        backpressure().unreachable.discard(self._server)
        if monotonic() - self._refreshed > REFRESH_SECONDS:
            await self._membership.rejoin(self._server)
            self._refreshed = monotonic()

    async def _fail(self) -> None:
        counters.probes_missed += 1
        if self.is_unreachable:
            await self._membership.reconnect(self._server)
        now = monotonic()
        since = self._mark_unreachable()
        if now - since > get_settings().unreachable_timeout_seconds:
            self._unreachable_since = now
            self._membership.give_up()

    def _mark_unreachable(self) -> float:
        if self._unreachable_since is None:
            self._unreachable_since = monotonic()
            counters.gaps += 1
            # A Message that its own process would not hear is refused, not lost.
            backpressure().unreachable.add(self._server)
        return self._unreachable_since
