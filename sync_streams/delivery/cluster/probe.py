"""Probe: verifies that events sent to a group still reach this process.

A process whose layer has lost its groups, or its connection, looks healthy but receives
nothing: its sockets stay open and silent. It therefore sends an event to a group of its
own at intervals, over each of the layer's servers. If a probe does not return, the
process rejoins every group, then reconnects, and if neither helps for long, closes its
connections so that the clients move to another process.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from sync_streams.conf import get_settings
from sync_streams.delivery.counters import counters

from .backpressure import backpressure
from .broadcast import send_to_group

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 3600
"""How often all groups are rejoined as a precaution: layers expire them after a day."""

UNREACHABLE_PAUSE_SECONDS = 0.5
"""Time between two attempts of an unreachable process."""


class Groups(Protocol):
    """What a probe can do about a server from which nothing arrives."""

    def lose(self, server: int) -> None:
        """Assume that events from the server were missed."""

    def recover(self, server: int) -> None:
        """Handle a server that reaches this process again."""

    async def rejoin(self, server: int) -> bool:
        """Rejoin every group on it, including the probe's; return if that worked."""

    async def reconnect(self, server: int) -> None:
        """Open new connections to it."""

    @property
    def give_up(self) -> Callable[[], None]:
        """Called if the process stays unreachable."""


class Probe:
    """Watches whether one of the layer's servers reaches this process."""

    def __init__(self, groups: Groups, *, server: int, group: str) -> None:
        """Create a probe.

        Args:
            groups: rejoins and reconnects when needed.
            server: the number of the layer's server.
            group: a group on it that only this process is in.
        """
        self.group = group
        """The group that only this process is in."""
        self.lag = 0.0
        """Latest delay of the event loop, in seconds."""
        self._groups, self._server = groups, server
        self._number = 0
        self._returned: asyncio.Future[bool] | None = None
        self._doubted = asyncio.Event()
        self._unreachable_since: float | None = None
        self._gave_up = 0.0
        self._refreshed = monotonic()

    @property
    def is_unreachable(self) -> bool:
        """Whether the last probe did not return."""
        return self._unreachable_since is not None

    def confirm(self, number: object) -> None:
        """Record that the probe with that number returned."""
        if number == self._number:
            self._settle(has_returned=True)

    def doubt(self, reason: str) -> None:
        """Mark this process unreachable, and probe at once if it was reachable.

        A probe that is under way proves nothing: it may have arrived before. Nor does
        one that has returned, if :meth:`watch` has not resumed yet.
        """
        self._number += 1
        self._settle(has_returned=False)
        if not self.is_unreachable:
            self._doubted.set()
        self._mark_unreachable(reason)

    def _settle(self, *, has_returned: bool) -> None:
        if self._returned is not None and not self._returned.done():
            self._returned.set_result(has_returned)

    async def watch(self) -> None:
        """Send probes for ever."""
        while True:
            await self._pause()
            # Rejoin first: without its own group the probe cannot return.
            is_first = not self.is_unreachable
            is_joined = is_first or await self._groups.rejoin(self._server)
            if is_joined and await self._returns():
                await self._mark_reachable()
            else:
                await self._retry(is_first=is_first)

    async def _pause(self) -> None:
        # Jitter, so that processes started together do not probe together.
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
        self._number += 1
        number = self._number
        self._returned = asyncio.get_running_loop().create_future()
        event = {"type": "probe", "server": self._server, "number": number}
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await send_to_group(self.group, event)
                return await self._returned and number == self._number
        except Exception as error:
            # Layers are pluggable and their errors share no base class.
            counters.probes_missed += 1
            self._mark_unreachable(f"the probe did not return: {error!r}")
            return False

    async def _mark_reachable(self) -> None:
        if self._unreachable_since is not None:
            seconds = monotonic() - self._unreachable_since
            logger.warning(
                "server %d reaches this process again, after %.1f s",
                *(self._server, seconds),
            )
            self._unreachable_since = None
            self._groups.recover(self._server)
        backpressure().unreachable.discard(self._server)
        if monotonic() - self._refreshed > REFRESH_SECONDS:
            await self._groups.rejoin(self._server)
            self._refreshed = monotonic()

    async def _retry(self, *, is_first: bool) -> None:
        since = self._mark_unreachable("its groups could not be joined")
        if not is_first:
            await self._groups.reconnect(self._server)
        now = monotonic()
        if now - max(since, self._gave_up) > get_settings().unreachable_timeout_seconds:
            self._gave_up = now
            self._groups.give_up()

    def _mark_unreachable(self, reason: str) -> float:
        if self._unreachable_since is None:
            self._unreachable_since = monotonic()
            counters.times_unreachable += 1
            logger.warning(
                "server %d does not reach this process: %s", self._server, reason
            )
            # Refuse Messages that this process would not receive; otherwise they are
            # lost.
            backpressure().unreachable.add(self._server)
            self._groups.lose(self._server)
        return self._unreachable_since
