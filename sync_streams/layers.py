"""Channel layer of a site that is one process.

Channels' own looks through all its groups for expired members each time that it sends
or receives, and sends by a task for each channel: with a thousand Streams that costs
more than the Messages do. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#in-memory-channel-layer.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer as ChannelsInMemoryLayer

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

    def _clean_expired(self) -> None:
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            super()._clean_expired()  # type: ignore[misc] # not in the stubs
