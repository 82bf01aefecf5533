"""Canary: proves that what is sent to a group still reaches this process.

A process whose layer has lost its groups, or its connection, looks healthy and is deaf:
its sockets stay open and receive nothing. So it sends an event to a group of its own
from time to time. One that does not come back means joining every group again, and, if
that helps nothing for long, telling the connections to go elsewhere.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from time import monotonic

from sync_streams.conf import get_settings

from .broadcast import deaf_loops, send_to_group
from .counters import counters

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 3600
"""How often all groups are joined again without need: layers forget after a day."""

DEAF_PAUSE_SECONDS = 0.5
"""How often a process that hears nothing tries again."""


class Canary:
    """Watches over one process's hearing."""

    def __init__(
        self, *, rejoin: Callable[[], Awaitable[bool]], give_up: Callable[[], None]
    ) -> None:
        """Make a canary.

        Args:
            rejoin: joins every group again, :attr:`group` among them; tells whether
                it could.
            give_up: called when this process stays deaf.
        """
        self.group = f"sync_streams.canary.{token_hex(8)}"
        """The group that this process alone is in."""
        self.lag = 0.0
        """Seconds by which the event loop last was late."""
        self._rejoin, self._give_up = rejoin, give_up
        self._heard = asyncio.Event()
        self._doubted = asyncio.Event()
        self._deaf_since: float | None = None
        self._refreshed = monotonic()

    @property
    def is_deaf(self) -> bool:
        """Whether the last canary did not come back."""
        return self._deaf_since is not None

    def hear(self) -> None:
        """Take note that the canary came back."""
        self._heard.set()

    def doubt(self) -> None:
        """Take this process for deaf until a canary, sent at once, comes back."""
        self._note_deaf()
        self._doubted.set()

    async def watch(self) -> None:
        """Send canaries for ever."""
        while True:
            await self._rest()
            # Groups first: the canary of one that is lost is waited for in vain.
            has_joined = not self.is_deaf or await self._rejoin()
            if has_joined and await self._comes_back():
                await self._be_well()
            else:
                await self._be_deaf()

    async def _rest(self) -> None:
        # Processes that were started together do not ask together.
        pause = get_settings().canary_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if self.is_deaf:
            pause = min(pause, DEAF_PAUSE_SECONDS)
        before = monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._doubted.wait()
                self._doubted.clear()
                return
        self.lag = monotonic() - before - pause

    async def _comes_back(self) -> bool:
        self._heard.clear()
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await send_to_group(self.group, {"type": "canary"})
                await self._heard.wait()
        except Exception as error:
            # Layers are pluggable and their errors share no base class.
            logger.warning("canary did not come back: %r", error)
            return False
        return True

    async def _be_well(self) -> None:
        self._deaf_since = None
        deaf_loops.discard(asyncio.get_running_loop())
        if monotonic() - self._refreshed > REFRESH_SECONDS:
            await self._rejoin()
            self._refreshed = monotonic()

    async def _be_deaf(self) -> None:
        counters.canaries_missed += 1
        now = monotonic()
        since = self._note_deaf()
        if now - since > get_settings().deaf_timeout_seconds:
            self._deaf_since = now
            self._give_up()

    def _note_deaf(self) -> float:
        if self._deaf_since is None:
            self._deaf_since = monotonic()
            counters.gaps += 1
            # A Message that its own process would not hear is refused, not lost.
            deaf_loops.add(asyncio.get_running_loop())
        return self._deaf_since
