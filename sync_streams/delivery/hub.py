"""Hub: brings the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream. The process joins a Stream's group
with its first local subscription and leaves it with the last, so a publish costs the
layer one delivery a process, whatever the number of subscribers.
"""

import asyncio
import logging
from collections.abc import Callable
from time import time
from typing import Any
from weakref import WeakKeyDictionary

from sync_streams.errors import ServiceUnavailable

from .broadcast import (
    PROCESS_GROUP,
    Event,
    channel_layer,
    serve_on,
    stream_group,
)
from .counters import counters
from .frames import Encoder, Frame
from .outbox import Outbox

logger = logging.getLogger(__name__)

TURN = 256
"""Connections served before the event loop may look after something else."""

RETRY_SECONDS = 1
"""Pause after the layer failed."""

listeners: list[Callable[[Event], None]] = []
"""Called with each event of the process group, on the event loop."""

companions: list[Callable[[], None]] = []
"""Called when a hub starts, on its event loop."""


class _Topic:
    """One Stream's subscriptions in this process."""

    __slots__ = ("expiry", "is_joined", "lock", "members")

    def __init__(self) -> None:
        self.members: dict[Encoder, dict[str, Outbox]] = {}
        self.lock = asyncio.Lock()
        self.is_joined = False
        self.expiry: asyncio.TimerHandle | None = None

    def expire_at(self, moment: float | None, callback: Callable[[], None]) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None
        if moment is not None:
            loop = asyncio.get_running_loop()
            self.expiry = loop.call_later(max(0.0, moment - time()), callback)


class Hub:
    """Every subscription of this process, by Stream."""

    def __init__(self) -> None:
        self._layer = channel_layer()
        self._channel = ""
        self._topics: dict[str, _Topic] = {}
        self._starting = asyncio.Lock()
        self._receiver: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def is_listening(self) -> bool:
        """Whether this process hears the events of all others."""
        return self._receiver is not None and not self._receiver.done()

    async def start(self) -> None:
        """Open the process's channel and receive from it; once.

        Raises:
            ServiceUnavailable: 20503, the layer does not answer.
        """
        async with self._starting:
            if self.is_listening:
                return
            try:
                self._channel = await self._layer.new_channel()
                await self._layer.group_add(PROCESS_GROUP, self._channel)
            except Exception as error:
                # Layers are pluggable and their errors share no base class.
                logger.warning("channel layer failed: %r", error)
                raise ServiceUnavailable from error
            self._receiver = asyncio.create_task(self._receive())
            serve_on(asyncio.get_running_loop())
            for companion in companions:
                companion()

    async def subscribe(
        self, outbox: Outbox, stream_sid: str, expires_at: float | None
    ) -> None:
        """Deliver a Stream to a connection, from before this returns.

        Args:
            outbox: the connection's outbound side.
            stream_sid: the Stream.
            expires_at: when the Stream lapses, in seconds since 1970.

        Raises:
            ServiceUnavailable: 20503, the layer does not answer.
        """
        topic = self._topics.setdefault(stream_sid, _Topic())
        # Membership first, group second: whoever leaves meanwhile sees a member and
        # keeps the topic, and nothing published after the answer can be missed.
        members = topic.members.setdefault(outbox.encoder, {})
        members[outbox.connection_id] = outbox
        outbox.streams.add(stream_sid)
        topic.expire_at(expires_at, lambda: self._expire(stream_sid))
        async with topic.lock:
            if not topic.is_joined:
                await self._join(topic, stream_sid, outbox)

    def unsubscribe(self, outbox: Outbox, stream_sid: str) -> None:
        """Stop delivering a Stream to a connection, at once."""
        outbox.streams.discard(stream_sid)
        topic = self._topics.get(stream_sid)
        if topic is None:
            return
        members = topic.members.get(outbox.encoder, {})
        members.pop(outbox.connection_id, None)
        if not members:
            topic.members.pop(outbox.encoder, None)
        if not topic.members:
            self._leave_soon(topic, stream_sid)

    def forget(self, outbox: Outbox) -> None:
        """Stop delivering anything to a connection."""
        for stream_sid in tuple(outbox.streams):
            self.unsubscribe(outbox, stream_sid)

    def count(self, stream_sid: str) -> int:
        """Return how many connections of this process are subscribed to a Stream."""
        topic = self._topics.get(stream_sid)
        return sum(map(len, topic.members.values())) if topic else 0

    async def _join(self, topic: _Topic, stream_sid: str, outbox: Outbox) -> None:
        try:
            await self._layer.group_add(stream_group(stream_sid), self._channel)
        except Exception as error:
            logger.warning("channel layer failed: %r", error)
            self.unsubscribe(outbox, stream_sid)
            raise ServiceUnavailable from error
        topic.is_joined = True

    def _leave_soon(self, topic: _Topic, stream_sid: str) -> None:
        task = asyncio.ensure_future(self._leave(topic, stream_sid))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, topic: _Topic, stream_sid: str) -> None:
        async with topic.lock:
            if topic.is_joined and not topic.members:
                topic.is_joined = False
                try:
                    await self._layer.group_discard(
                        stream_group(stream_sid), self._channel
                    )
                except Exception as error:
                    # Events that still come find no topic and are dropped.
                    logger.warning("channel layer failed: %r", error)
            if not topic.members and self._topics.get(stream_sid) is topic:
                topic.expire_at(None, lambda: None)
                del self._topics[stream_sid]

    async def _receive(self) -> None:
        while True:
            try:
                event = await self._layer.receive(self._channel)
                await self._dispatch(event)
            except Exception:
                logger.exception("hub failed; it goes on")
                await asyncio.sleep(RETRY_SECONDS)

    async def _dispatch(self, event: Any) -> None:
        if event["type"] == "message.published":
            await self._message_published(event)
            return
        for listener in listeners:
            listener(event)
        if event["type"] == "stream.removed":
            await self._stream_removed(event)
        elif event["type"] == "stream.updated":
            self._stream_updated(event)

    async def _message_published(self, event: Event) -> None:
        topic = self._topics.get(event["stream_sid"])
        if topic is None:
            return
        for encoder, members in tuple(topic.members.items()):
            frame = encoder.message_published(event)
            await self._fan_out(frame, members, skip=_origin(encoder, event))

    async def _fan_out(
        self, frame: Frame, members: dict[str, Outbox], *, skip: str | None
    ) -> None:
        connections = tuple(members)
        for start in range(0, len(connections), TURN):
            if start:
                await asyncio.sleep(0)
            for connection_id in connections[start : start + TURN]:
                # A connection may have left during an earlier turn.
                outbox = members.get(connection_id)
                if outbox is not None and connection_id != skip:
                    outbox.put(frame)
        counters.delivered += len(connections)

    async def _stream_removed(self, event: Event) -> None:
        topic = self._topics.get(event["stream_sid"])
        if topic is None:
            return
        for encoder, members in tuple(topic.members.items()):
            frame = encoder.stream_removed(event)
            for outbox in tuple(members.values()):
                if outbox.connection_id != _origin(encoder, event):
                    outbox.put(frame)
                self.unsubscribe(outbox, event["stream_sid"])

    def _stream_updated(self, event: Event) -> None:
        topic = self._topics.get(event["stream_sid"])
        if topic is not None:
            sid = event["stream_sid"]
            topic.expire_at(event.get("expires_at"), lambda: self._expire(sid))

    def _expire(self, stream_sid: str) -> None:
        event: Event = {"type": "stream.removed", "stream_sid": stream_sid}
        task = asyncio.ensure_future(self._dispatch(event))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _origin(encoder: Encoder, event: Event) -> str | None:
    return event.get("origin") if encoder.skips_origin else None


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def is_listening() -> bool:
    """Tell whether this process hears of removals, in any of its event loops."""
    return any(hub.is_listening for hub in tuple(_hubs.values()))
