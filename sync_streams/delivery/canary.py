"""Canary: proves that what is sent to a group still reaches this process.

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

from .broadcast import send_to_group
from .counters import counters
from .hearing import hearing

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 3600
"""How often all groups are joined again without need: layers forget after a day."""

DEAF_PAUSE_SECONDS = 0.5
"""How often a process that hears nothing tries again."""


class Ears(Protocol):
    """What a canary does about a server that this process does not hear."""

    async def rejoin(self, server: int) -> bool:
        """Join every group on it again, the canary's among them; tell if it could."""

    async def reconnect(self, server: int) -> None:
        """Listen to it by new connections."""

    def give_up(self) -> None:
        """Take note that the process stays deaf."""


class Canary:
    """Watches over one process's hearing of one server."""

    def __init__(self, ears: Ears, *, server: int, group: str) -> None:
        """Make a canary.

        Args:
            ears: whose hearing it watches over.
            server: the number of the layer's server.
            group: a group on it that this process alone is in.
        """
        self.group = group
        """The group that this process alone is in."""
        self.lag = 0.0
        """Seconds by which the event loop last was late."""
        self._ears, self._server = ears, server
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
            has_joined = not self.is_deaf or await self._ears.rejoin(self._server)
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
                event = {"type": "canary", "server": self._server}
                await send_to_group(self.group, event)
                await self._heard.wait()
        except Exception as error:
            # Layers are pluggable and their errors share no base class.
            logger.warning("canary did not come back: %r", error)
            return False
        return True

    async def _be_well(self) -> None:
        self._deaf_since = None
        hearing().deaf_to.discard(self._server)
        if monotonic() - self._refreshed > REFRESH_SECONDS:
            await self._ears.rejoin(self._server)
            self._refreshed = monotonic()

    async def _be_deaf(self) -> None:
        counters.canaries_missed += 1
        if self.is_deaf:
            await self._ears.reconnect(self._server)
        now = monotonic()
        since = self._note_deaf()
        if now - since > get_settings().deaf_timeout_seconds:
            self._deaf_since = now
            self._ears.give_up()

    def _note_deaf(self) -> float:
        if self._deaf_since is None:
            self._deaf_since = monotonic()
            counters.gaps += 1
            # A Message that its own process would not hear is refused, not lost.
            hearing().deaf_to.add(self._server)
        return self._deaf_since
