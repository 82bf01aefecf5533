"""Hub: brings the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream. The process joins a Stream's group
with its first local subscription and leaves it with the last, so a publish costs the
layer one delivery a process, whatever the number of subscribers.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from heapq import nlargest
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .broadcast import PROCESS_GROUP, Event, channel_layer, serve_on
from .canary import Canary
from .counters import counters
from .frames import Encoder, Frame
from .outbox import Outbox
from .topic import Topic

logger = logging.getLogger(__name__)

TURN = 256
"""Connections served before the event loop may look after something else."""

EVENTS_A_TURN = 16
"""Events taken before the outboxes may write: a burst would overflow healthy ones."""

RETRY_SECONDS = 0.5
"""Pause after the layer failed."""

listeners: list[Callable[[Event], None]] = []
"""Called with each event of the process group, on the event loop."""

handlers: dict[str, Callable[["Hub", Any], Coroutine[Any, Any, None]]] = {}
"""Called with an event that concerns processes, not one Stream; by its type."""

companions: list[Callable[[], None]] = []
"""Called when a hub starts, on its event loop."""

when_deaf: list[Callable[[], None]] = []
"""Called when a hub hears nothing any more and joining again did not help."""


class Hub:
    """Every subscription of this process, by Stream."""

    def __init__(self) -> None:
        """Make a hub for the running event loop."""
        self._layer = channel_layer()
        self._channel = ""
        self._topics: dict[str, Topic] = {}
        self._starting = asyncio.Lock()
        self._start_failed = -RETRY_SECONDS
        self._receiver: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.canary = Canary(rejoin=self._rejoin, give_up=_tell_deaf)

    @property
    def is_listening(self) -> bool:
        """Whether this process receives from the layer."""
        return self._receiver is not None and not self._receiver.done()

    async def start(self) -> None:
        """Open the process's channel and receive from it; once.

        Raises:
            ServiceUnavailable: 20503, the layer does not answer.
        """
        async with self._starting:
            if self.is_listening:
                return
            # Who waited for the lock does not wait for the layer, one after the other.
            if monotonic() - self._start_failed < RETRY_SECONDS:
                raise ServiceUnavailable
            try:
                async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                    self._channel = await self._layer.new_channel()
                    await self._join_own_groups()
            except Exception as error:
                self._start_failed = monotonic()
                raise _unavailable(error) from error
            self._receiver = asyncio.create_task(self._receive())
            self._spawn(self.canary.watch())
            serve_on(asyncio.get_running_loop())
            _latest.hub = self
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
        # Membership first, group second: whoever leaves meanwhile sees a member and
        # keeps the topic, and nothing published after the answer can be missed.
        topic = self._topics.setdefault(stream_sid, Topic(stream_sid))
        topic.add(outbox)
        outbox.streams.add(stream_sid)
        self.expire_at(stream_sid, expires_at)
        try:
            await topic.join(self._layer, self._channel)
        except Exception as error:
            self.unsubscribe(outbox, stream_sid)
            raise _unavailable(error) from error

    def expire_at(
        self, stream_sid: str, moment: float | None, *, is_news: bool = False
    ) -> None:
        """Tell the Stream's subscribers here that it is gone when it lapses.

        Args:
            stream_sid: the Stream.
            moment: when that is, in seconds since 1970; ``None``: never.
            is_news: an event said so, which holds against what was looked up.
        """
        topic = self._topics.get(stream_sid)
        if topic is not None:
            topic.expire_at(moment, lambda: self._expire(stream_sid), is_news=is_news)

    def unsubscribe(self, outbox: Outbox, stream_sid: str) -> None:
        """Stop delivering a Stream to a connection, at once."""
        outbox.streams.discard(stream_sid)
        topic = self._topics.get(stream_sid)
        if topic is not None:
            topic.discard(outbox)
            if not topic.members:
                self._spawn(self._leave(topic))

    def forget(self, outbox: Outbox) -> None:
        """Stop delivering anything to a connection."""
        for stream_sid in tuple(outbox.streams):
            self.unsubscribe(outbox, stream_sid)

    def count(self, stream_sid: str) -> int:
        """Return how many connections of this process are subscribed to a Stream."""
        topic = self._topics.get(stream_sid)
        return topic.count if topic else 0

    def busiest(self, limit: int) -> dict[str, int]:
        """Return the Streams with the most subscribers here, and how many those are."""
        topics = nlargest(limit, self._topics.values(), key=lambda topic: topic.count)
        return {topic.stream_sid: topic.count for topic in topics}

    async def _join_own_groups(self) -> None:
        await self._layer.group_add(PROCESS_GROUP, self._channel)
        await self._layer.group_add(self.canary.group, self._channel)

    async def _rejoin(self) -> bool:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self._join_own_groups()
            for topic in tuple(self._topics.values()):
                await topic.join(self._layer, self._channel, again=True)
        except Exception as error:
            logger.warning("groups could not be joined again: %r", error)
            return False
        return True

    async def _leave(self, topic: Topic) -> None:
        try:
            is_empty = await topic.leave(self._layer, self._channel)
        except Exception as error:
            # Events that still come find no topic and are dropped.
            logger.warning("a group could not be left: %r", error)
            is_empty = not topic.members
        if is_empty and self._topics.get(topic.stream_sid) is topic:
            topic.forget_expiry()
            del self._topics[topic.stream_sid]

    async def _receive(self) -> None:
        for count in itertools.count(1):
            try:
                await self._hear(await self._layer.receive(self._channel))
                if count % EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)
            except Exception:
                logger.exception("channel layer failed; the hub goes on")
                # What failed may have forgotten this process's groups.
                self.canary.doubt()
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self, event: Any) -> None:
        try:
            await self._dispatch(event)
        except Exception:
            logger.exception("an event failed; the hub goes on")

    async def _dispatch(self, event: Any) -> None:
        if event["type"] == "message.published":
            await self._message_published(event)
        elif event["type"] == "canary":
            self.canary.hear()
        elif event["type"] in handlers:
            self._spawn(handlers[event["type"]](self, event))
        else:
            await self._process_event(event)

    async def _process_event(self, event: Event) -> None:
        for listener in listeners:
            listener(event)
        topic = self._topics.get(event["stream_sid"])
        if topic is None:
            return
        if event["type"] == "stream.removed":
            self._stream_removed(topic, event)
        elif event["type"] == "stream.updated":
            self.expire_at(topic.stream_sid, event.get("expires_at"), is_news=True)

    async def _message_published(self, event: Event) -> None:
        topic = self._topics.get(event["stream_sid"])
        if topic is None:
            return
        for encoder, members in tuple(topic.members.items()):
            frame = _written(encoder.message_published, event)
            if frame is not None:
                await self._fan_out(frame, members, skip=_origin(encoder, event))

    async def _fan_out(
        self, frame: Frame, members: dict[str, Outbox], *, skip: str | None
    ) -> None:
        outboxes = tuple(box for key, box in members.items() if key != skip)
        for start in range(0, len(outboxes), TURN):
            if start:
                await asyncio.sleep(0)
            turn = outboxes[start : start + TURN]
            # A connection may have left during an earlier turn.
            _deliver(frame, [box for box in turn if box.connection_id in members])
        counters.delivered += len(outboxes)

    def _stream_removed(self, topic: Topic, event: Event) -> None:
        for encoder, members in tuple(topic.members.items()):
            frame = _written(encoder.stream_removed, event)
            for outbox in tuple(members.values()):
                if frame is not None and outbox.connection_id != _origin(
                    encoder, event
                ):
                    _put(outbox, frame)
                self.unsubscribe(outbox, topic.stream_sid)

    def _expire(self, stream_sid: str) -> None:
        event: Event = {"type": "stream.removed", "stream_sid": stream_sid}
        self._spawn(self._process_event(event))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _deliver(frame: Frame, outboxes: list[Outbox]) -> None:
    # Outbox.put, spelt out: this is what a Message costs for each subscriber, and the
    # objects touched here are cold by the time their turn comes.
    wire, size, is_plain = frame.wire, frame.size, not frame.is_acknowledged
    for outbox in outboxes:
        try:
            direct = outbox.direct
            if direct is not None and is_plain:
                direct(wire)
                outbox.sent += size
                if outbox.sent > outbox.check_at:
                    outbox.check()
            else:
                outbox.put(frame)
        except Exception:
            logger.exception("a connection failed; the others go on")
            outbox.give_up()


def _origin(encoder: Encoder, event: Event) -> str | None:
    return event.get("origin") if encoder.skips_origin else None


def _written(write: Callable[[Event], Frame], event: Event) -> Frame | None:
    try:
        return write(event)
    except Exception:
        logger.exception("a protocol cannot write %s; the others go on", event["type"])
        return None


def _put(outbox: Outbox, frame: Frame) -> None:
    try:
        outbox.put(frame)
    except Exception:
        logger.exception("a connection failed; the others go on")
        outbox.give_up()


def _unavailable(error: Exception) -> ServiceUnavailable:
    # Layers are pluggable and their errors share no base class.
    logger.warning("channel layer failed: %r", error)
    return ServiceUnavailable()


def _tell_deaf() -> None:
    logger.error("this process hears nothing any more")
    for callback in when_deaf:
        callback()


class _Latest:
    hub: Hub | None = None


_latest = _Latest()
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def is_listening() -> bool:
    """Tell whether this process hears of removals, by the hub that started last."""
    hub = _latest.hub
    return hub is not None and hub.is_listening and not hub.canary.is_deaf
