"""Membership: the groups that this process is in, on each of the layer's servers.

These are the groups of the Streams with subscribers here, the group of all processes,
and one group for the probe of each server.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from secrets import token_hex

from channels.layers import BaseChannelLayer

from sync_streams.conf import get_settings

from .cluster import servers
from .cluster.probe import Probe
from .events import probe_group, process_group, stream_group
from .subscriptions import Subscriptions
from .topic import Topic

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 1
"""Time for the layer to stop receiving."""


class Membership:
    """Keeps one process in its groups, and reports when events may have been missed."""

    def __init__(
        self,
        layer: BaseChannelLayer,
        subscriptions: Subscriptions,
        *,
        on_lost: Callable[[], None],
        on_recovered: Callable[[int], None],
        on_give_up: Callable[[], None],
    ) -> None:
        """Set up, with a probe for each server.

        Args:
            layer: the channel layer.
            subscriptions: the Streams with subscribers here.
            on_lost: called when events may have been missed.
            on_recovered: called with a server's number when it reaches this process
                again.
            on_give_up: called if it does not for ``unreachable_timeout_seconds``.
        """
        self._layer, self._subscriptions = layer, subscriptions
        self._on_lost, self._on_recovered = on_lost, on_recovered
        self.give_up = on_give_up
        self.probes = [
            Probe(self, server=server, group=_own_group(layer, server))
            for server in range(servers.count_servers(layer))
        ]

    @property
    def lag(self) -> float:
        """Latest delay of the event loop, in seconds."""
        return max(probe.lag for probe in self.probes)

    def doubt(self) -> None:
        """Mark this process unreachable until its probes return."""
        for probe in self.probes:
            probe.doubt("the channel layer failed")

    def lose(self, server: int) -> None:
        """Assume that events from a server were missed."""
        for topic in self.topics_on(server):
            topic.is_incomplete = True
        self._on_lost()

    def recover(self, server: int) -> None:
        """Handle a server that reaches this process again."""
        # Further events may have been missed since it became unreachable.
        self.lose(server)
        self._on_recovered(server)

    async def join_own_groups(self, server: int) -> None:
        """Join the groups on a server that do not belong to Streams."""
        channel = self._subscriptions.channel
        if servers.server_of(self._layer, process_group()) == server:
            await self._layer.group_add(process_group(), channel)
        await self._layer.group_add(self.probes[server].group, channel)

    async def leave(self, users: Iterable[asyncio.Task[None]]) -> None:
        """Leave the groups that do not belong to Streams, and close the channel.

        Args:
            users: tasks that use them, which have been cancelled.
        """
        channel = self._subscriptions.channel
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                # Not every layer ends when it is cancelled.
                await asyncio.wait(users, timeout=CLOSE_SECONDS)
                for group in (process_group(), *(each.group for each in self.probes)):
                    await self._layer.group_discard(group, channel)
                servers.close_channel(self._layer, channel)
        except Exception as error:
            # What still arrives is ignored, and layers expire groups.
            logger.debug("groups could not be left: %r", error)

    async def rejoin(self, server: int) -> bool:
        """Rejoin every group on a server; return whether that succeeded."""
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self.join_own_groups(server)
            for topic in self.topics_on(server):
                await topic.join(self._layer, self._subscriptions.channel, again=True)
        except Exception as error:
            logger.debug("groups could not be joined again: %r", error)
            return False
        return True

    async def reconnect(self, server: int) -> None:
        """Open new connections to a server."""
        try:
            await servers.reconnect(self._layer, server)
        except Exception as error:
            logger.debug("connections could not be broken: %r", error)

    def topics_on(self, server: int) -> list[Topic]:
        """Return the topics whose groups are on a server."""
        return [
            topic
            for sid, topic in self._subscriptions.topics.items()
            if servers.server_of(self._layer, stream_group(sid)) == server
        ]


def _own_group(layer: BaseChannelLayer, server: int) -> str:
    """Return the name of a group on a server that no other process is in."""
    while True:
        group = probe_group(token_hex(8))
        if servers.server_of(layer, group) == server:
            return group
