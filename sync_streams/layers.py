"""Channel layers: of a site that is one process, and on Redis of one that is several.

The one on Redis is :class:`sync_streams.redis.layer.RedisChannelLayer`. Of the one in
memory: Channels' own looks through all its groups for expired members each time that it
sends or receives, and sends by a task for each channel; with a thousand Streams that
costs more than the Messages do. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#in-memory-channel-layer.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer as ChannelsInMemoryLayer

from .redis.layer import RedisChannelLayer

__all__ = ["InMemoryChannelLayer", "RedisChannelLayer"]

MAX_AHEAD = 64
"""Events that may be ahead of a receiver for one to be sent without waiting."""

CLEAN_SECONDS = 1
"""How often what has expired is looked for."""


class InMemoryChannelLayer(ChannelsInMemoryLayer):
    """Channels' in-memory layer, at a price that does not grow with the groups."""

    def __init__(self, **options: Any) -> None:
        """Take the options of Channels' own: ``capacity``, ``expiry`` and so on."""
        super().__init__(**options)
        self._clean_at = 0.0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send to a group's channels, but not to those that are full."""
        self.require_valid_group_name(group)
        self._clean_expired()
        for channel in tuple(self.groups.get(group, ())):
            with suppress(ChannelFull):
                await self.send(channel, message)
        # Whoever sends in a loop would fill the channels before anybody receives.
        await asyncio.sleep(0)

    def can_send_now(self, group: str) -> bool:
        """Tell whether :meth:`group_send_now` would reach all of a group's channels.

        Who sends without waiting, and often, gives nobody a turn to receive.
        """
        queues = (self.channels.get(name) for name in self.groups.get(group, ()))
        return all(
            queue is None or queue.qsize() < min(MAX_AHEAD, queue.maxsize)
            for queue in queues
        )

    def group_send_now(self, group: str, message: dict[str, Any]) -> None:
        """Send to a group's channels, without waiting, what nobody changes later."""
        self._clean_expired()
        expires = time.time() + self.expiry
        for channel in self.groups.get(group, ()):
            if channel not in self.channels:
                size = self.get_capacity(channel)
                self.channels[channel] = asyncio.Queue(maxsize=size)
            self.channels[channel].put_nowait((expires, message))

    def _clean_expired(self) -> None:
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            super()._clean_expired()  # type: ignore[misc] # not in the stubs
