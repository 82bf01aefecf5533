"""Topic: one Stream's subscribers in this process, and its group on the layer."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING

from channels.layers import BaseChannelLayer

from sync_streams.conf import get_settings

from .cluster.broadcast import send_to_group
from .cluster.servers import confirms_joins
from .cluster.slots import slot
from .events import JOINED, stream_group
from .outbox.outbox import Outbox
from .sequence import Arrivals

if TYPE_CHECKING:
    from .outbox.frames import Encoder


LINGER_SECONDS = 1
"""Time for which a process stays in a Stream's group without subscribers. Otherwise the
next subscriber could receive events in flight, but miss those right after them."""

REACHED_SECONDS = 0.05
"""Time after which a process that joins asks again whether events reach it."""


class Topic:
    """A Stream's subscribers here. Leaves the group ``LINGER_SECONDS`` after them."""

    __slots__ = (
        "_departure",
        "_expiry",
        "_group",
        "_has_asked",
        "_has_news",
        "_lock",
        "_observers",
        "_reached",
        "arrivals",
        "is_incomplete",
        "is_joined",
        "members",
        "stream_sid",
    )

    def __init__(self, stream_sid: str) -> None:
        self.stream_sid = stream_sid
        self.members: dict[Encoder, dict[str, Outbox]] = {}
        """Connections by protocol and id: an event is encoded once for each key."""
        self._observers = 0
        self._group = stream_group(stream_sid)
        self._lock = asyncio.Lock()
        # Whether this process may be in the group: joining may fail, or be cancelled,
        # after the layer has done it.
        self._has_asked = False
        self.is_joined = False
        """Whether this process is in the group; no subscription is confirmed before."""
        self.arrivals = Arrivals()
        self.is_incomplete = False
        """Whether events may have been missed that subscribers were not told of yet."""
        self._has_news = False
        self._expiry: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None
        self._reached: asyncio.Event | None = None

    @property
    def count(self) -> int:
        """Number of subscribed connections, not counting observers."""
        return self.size - self._observers

    @property
    def size(self) -> int:
        """Number of subscribed connections, observers included."""
        return sum(map(len, self.members.values()))

    @property
    def is_settled(self) -> bool:
        """Whether this process is in the group and is neither joining nor leaving."""
        return self.is_joined and not self._lock.locked()

    def add(self, outbox: Outbox) -> None:
        """Add a connection."""
        members = self.members.setdefault(outbox.encoder, {})
        if outbox.is_observer and outbox.connection_id not in members:
            self._observers += 1
        members[outbox.connection_id] = outbox

    def discard(self, outbox: Outbox) -> bool:
        """Remove a connection; return whether it was the last one."""
        members = self.members.get(outbox.encoder, {})
        was_here = members.pop(outbox.connection_id, None) is not None
        self._observers -= was_here and outbox.is_observer
        if not members:
            self.members.pop(outbox.encoder, None)
        return was_here and not self.members

    def leave_soon(self, callback: Callable[[], object]) -> None:
        """Call back after ``LINGER_SECONDS``, to check for new subscribers."""
        if self._departure is not None:
            self._departure.cancel()
        loop = asyncio.get_running_loop()
        self._departure = loop.call_later(LINGER_SECONDS, callback)

    def expire_at(
        self, moment: float | None, callback: Callable[[], None], *, is_news: bool
    ) -> None:
        """Call back when the Stream expires; ``None``: never.

        A time from an event (``is_news``) takes precedence: a subscriber may have
        fetched the Stream earlier.
        """
        if self._has_news and not is_news:
            return
        self._has_news = is_news
        self.forget_expiry()
        if moment is not None:
            self._await_expiry(moment, callback)

    def _await_expiry(self, moment: float, callback: Callable[[], None]) -> None:
        def expire() -> None:
            # The clock may have been set back meanwhile, unlike the loop's.
            if moment > time():
                self._await_expiry(moment, callback)
            else:
                callback()

        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max(0.0, moment - time()), expire)

    def forget_expiry(self) -> None:
        """Cancel the callback."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    async def join(
        self, layer: BaseChannelLayer, channel: str, *, again: bool = False
    ) -> None:
        """Join the Stream's group, if this process is not in it.

        Args:
            layer: the channel layer.
            channel: this process's channel.
            again: join even if it is already in the group, in case the layer forgot.
        """
        timeout, group = get_settings().broadcast_timeout_seconds, self._group
        # The time limit covers the lock as well: others may be trying to join.
        async with asyncio.timeout(timeout), self._lock:
            # Nobody to join for: they may have left while this waited.
            if self.is_joined is not again or not (again or self.members):
                return
            self._has_asked = True
            async with slot(layer, group):
                await layer.group_add(group, channel)
            if not again and not confirms_joins(layer):
                await self._until_reached(layer)
            if not again:
                # Messages published while nobody here was subscribed are not missing.
                self.arrivals = Arrivals()
            self.is_joined = True

    def note_reached(self) -> None:
        """Record that an event of the group has arrived, if a join waits for one."""
        if self._reached is not None:
            self._reached.set()

    async def _until_reached(self, layer: BaseChannelLayer) -> None:
        self._reached = reached = asyncio.Event()
        event = {"type": JOINED, "stream_sid": self.stream_sid}
        try:
            while not reached.is_set():
                async with slot(layer, self._group):
                    await send_to_group(self._group, event)
                with suppress(TimeoutError):
                    async with asyncio.timeout(REACHED_SECONDS):
                        await reached.wait()
        finally:
            self._reached = None

    async def leave(self, layer: BaseChannelLayer, channel: str) -> bool:
        """Leave the group if there are no subscribers; return whether that is so."""
        async with self._lock:
            if self._has_asked and not self.members:
                self.is_joined = self._has_asked = False
                timeout, group = get_settings().broadcast_timeout_seconds, self._group
                async with asyncio.timeout(timeout), slot(layer, group):
                    await layer.group_discard(group, channel)
        # A subscriber that arrived meanwhile waits for the lock, then rejoins.
        return not self.members
