"""Hub: brings the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream. The process joins a Stream's group
with its first local subscription and leaves it with the last, so a publish costs the
layer one delivery a process, whatever the number of subscribers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from heapq import nlargest
from secrets import token_hex
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import BaseChannelLayer

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .broadcast import PROCESS_GROUP, Event, channel_layer, serve_on, stream_group
from .canary import Canary
from .fanout import deliver_messages, deliver_removal
from .garbage import collect_rarely
from .outbox import Outbox
from .servers import count_servers, reconnect, server_of
from .topic import Topic

logger = logging.getLogger(__name__)

MAX_WAITING = 16
"""Events received and not yet delivered; more of them wait in the layer, which has a
bound of its own, and outboxes may write before they are taken."""

MESSAGE = "message.published"

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
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(MAX_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()
        self.canaries = [
            Canary(self, server=server, group=_own_group(self._layer, server))
            for server in range(count_servers(self._layer))
        ]

    @property
    def is_listening(self) -> bool:
        """Whether this process receives from the layer."""
        return self._receiver is not None and not self._receiver.done()

    @property
    def is_deaf(self) -> bool:
        """Whether it hears nothing from one of the layer's servers."""
        return any(canary.is_deaf for canary in self.canaries)

    @property
    def lag(self) -> float:
        """Seconds by which the event loop last was late."""
        return max(canary.lag for canary in self.canaries)

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
                    for server in range(len(self.canaries)):
                        await self._join_own_groups(server)
            except Exception as error:
                self._start_failed = monotonic()
                raise _unavailable(error) from error
            self._receiver = asyncio.create_task(self._receive())
            self._spawn(self._deliver())
            for canary in self.canaries:
                self._spawn(canary.watch())
            collect_rarely()
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

    async def rejoin(self, server: int) -> bool:
        """Join every group that is on a server again; tell whether that went well."""
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self._join_own_groups(server)
            for sid, topic in tuple(self._topics.items()):
                if server_of(self._layer, stream_group(sid)) == server:
                    await topic.join(self._layer, self._channel, again=True)
        except Exception as error:
            logger.warning("groups could not be joined again: %r", error)
            return False
        return True

    async def reconnect(self, server: int) -> None:
        """Listen to a server by new connections."""
        try:
            await reconnect(self._layer, server)
        except Exception as error:
            logger.warning("connections could not be broken: %r", error)

    def give_up(self) -> None:
        """Tell those who care that this process stays deaf."""
        logger.error("this process hears nothing any more")
        for callback in when_deaf:
            callback()

    async def _join_own_groups(self, server: int) -> None:
        if server_of(self._layer, PROCESS_GROUP) == server:
            await self._layer.group_add(PROCESS_GROUP, self._channel)
        await self._layer.group_add(self.canaries[server].group, self._channel)

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
        while True:
            try:
                await self._waiting.put(await self._layer.receive(self._channel))
            except Exception:
                logger.exception("channel layer failed; the hub goes on")
                # What failed may have forgotten this process's groups.
                for canary in self.canaries:
                    canary.doubt()
                await asyncio.sleep(RETRY_SECONDS)

    async def _deliver(self) -> None:
        while True:
            events = [await self._waiting.get()]
            # Whoever published is answered first: its answer waits for nobody.
            await asyncio.sleep(0)
            while not self._waiting.empty():
                events.append(self._waiting.get_nowait())
            for bundle in _bundled(events):
                try:
                    await self._take(bundle)
                except Exception:
                    logger.exception("an event failed; the hub goes on")

    async def _take(self, bundle: list[Any]) -> None:
        event = bundle[0]
        if event["type"] == MESSAGE:
            topic = self._topics.get(event["stream_sid"])
            if topic is not None and topic.is_joined:
                await deliver_messages(topic, bundle)
        elif event["type"] == "canary":
            self.canaries[event["server"]].hear()
        elif event["type"] in handlers:
            self._spawn(handlers[event["type"]](self, event))
        else:
            self._process_event(event)

    def _process_event(self, event: Event) -> None:
        for listener in listeners:
            listener(event)
        topic = self._topics.get(event["stream_sid"])
        if topic is None:
            return
        if event["type"] == "stream.removed":
            for outbox in deliver_removal(topic, event):
                self.unsubscribe(outbox, topic.stream_sid)
        elif event["type"] == "stream.updated":
            self.expire_at(topic.stream_sid, event.get("expires_at"), is_news=True)

    def _expire(self, stream_sid: str) -> None:
        event: Event = {"type": "stream.removed", "stream_sid": stream_sid}
        self._process_event(event)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _bundled(events: list[Any]) -> list[list[Any]]:
    """Put Messages of one Stream together, but none past an event of another kind."""
    bundles: list[list[Any]] = []
    messages: dict[str, list[Any]] = {}
    for event in events:
        if event.get("type") != MESSAGE:
            messages.clear()
            bundles.append([event])
        elif event["stream_sid"] in messages:
            messages[event["stream_sid"]].append(event)
        else:
            bundles.append([event])
            messages[event["stream_sid"]] = bundles[-1]
    return bundles


def _unavailable(error: Exception) -> ServiceUnavailable:
    # Layers are pluggable and their errors share no base class.
    logger.warning("channel layer failed: %r", error)
    return ServiceUnavailable()


def _own_group(layer: BaseChannelLayer, server: int) -> str:
    """Return a name of a group, nobody else's, that is on a server."""
    while True:
        group = f"sync_streams.canary.{token_hex(8)}"
        if server_of(layer, group) == server:
            return group


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
    return hub is not None and hub.is_listening and not hub.is_deaf
