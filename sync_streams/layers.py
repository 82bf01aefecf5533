"""Channel layers: in memory for a site of one process, on Redis for several.

The latter is :class:`sync_streams.redis.layer.RedisChannelLayer`. The former exists
because Channels' own in-memory layer searches all groups for expired members whenever
it sends or receives, and starts a task for each channel; with a thousand Streams that
costs more than the Messages do. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#in-memory-channel-layer.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any, NoReturn

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer as ChannelsInMemoryLayer

from .redis.layer import RedisChannelLayer

__all__ = ["InMemoryChannelLayer", "RedisChannelLayer"]

MAX_AHEAD = 64
"""Events that may wait for a receiver while more are sent without waiting."""

CLEAN_SECONDS = 1
"""Time between two searches for expired members."""

Listener = Callable[[Any], None]
"""Called with each message of a channel."""


class InMemoryChannelLayer(ChannelsInMemoryLayer):
    """Channels' in-memory layer, at a cost independent of the number of groups."""

    def __init__(self, **options: Any) -> None:
        """Accept the options of Channels' layer: ``capacity``, ``expiry`` and so on."""
        super().__init__(**options)
        self._clean_at = 0.0
        self._wall_ahead = time.time() - time.monotonic()
        self._listeners: dict[str, Listener] = {}

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send to a channel; a channel with a listener is never full."""
        if channel in self._listeners:
            self._listeners[channel](deepcopy(message))
        else:
            await super().send(channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send to a group's channels, except those that are full."""
        self.require_valid_group_name(group)
        self._clean_expired()
        for channel in tuple(self.groups.get(group, ())):
            with suppress(ChannelFull):
                await self.send(channel, message)
        # A caller that sends in a loop would fill the channels before anybody receives.
        await asyncio.sleep(0)

    def can_start(self, group: str) -> bool:
        """Return whether :meth:`group_send_now` would reach all of a group's channels.

        If callers often send without waiting, receivers get no time to run.
        """
        for name in self.groups.get(group, ()):
            queue = self.channels.get(name)
            if queue is not None and queue.qsize() >= min(MAX_AHEAD, queue.maxsize):
                return False
        return True

    def group_send_now(self, group: str, message: Any) -> None:
        """Send to a group's channels without waiting; do not change *message* later."""
        if time.monotonic() >= self._clean_at:
            self._clean_expired()
        expires = time.time() + self.expiry
        for channel in self.groups.get(group, ()):
            if channel in self._listeners:
                self._listeners[channel](message)
                continue
            if channel not in self.channels:
                size = self.get_capacity(channel)
                self.channels[channel] = asyncio.Queue(maxsize=size)
            self.channels[channel].put_nowait((expires, message))

    async def listen(self, channel: str, put: Listener) -> NoReturn:
        """Pass on each message of a channel as it is sent, until cancelled.

        Args:
            channel: a channel of this process.
            put: called with each message, in order; it must not block.
        """
        waiting = self.channels.pop(channel, None)
        while waiting is not None and not waiting.empty():
            _, message = waiting.get_nowait()
            put(message)
        self._listeners[channel] = put
        try:
            while True:
                await asyncio.get_running_loop().create_future()
        finally:
            del self._listeners[channel]

    def _clean_expired(self) -> None:
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            self._follow_wall_clock(time.time() - now)
            super()._clean_expired()  # type: ignore[misc] # not in the stubs

    def _follow_wall_clock(self, ahead: float) -> None:
        """Move the expiry times of Channels if the wall clock was set forward.

        If it was set back, messages are kept for longer.
        """
        by, self._wall_ahead = ahead - self._wall_ahead, ahead
        if by < CLEAN_SECONDS:
            return
        for queue in self.channels.values():
            waiting = [queue.get_nowait() for _ in range(queue.qsize())]
            for expires, message in waiting:
                queue.put_nowait((expires + by, message))
        for members in self.groups.values():
            members.update({name: since + by for name, since in members.items()})
