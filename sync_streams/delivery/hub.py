"""Hub: brings the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream, so a publish costs the layer one
delivery a process, whatever the number of subscribers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import BaseChannelLayer

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .cluster.backpressure import backpressure
from .cluster.broadcast import channel_layer
from .cluster.event_loop import serve_on
from .cluster.probe import Probe
from .cluster.servers import count_servers, reconnect, server_of
from .events import MESSAGE, PROCESS_GROUP, Event, stream_group
from .fanout import (
    EVENT_CONNECTIONS,
    TimeSlices,
    batched,
    deliver_messages,
    deliver_removal,
    record_gap,
)
from .gc import tune_collector
from .queue import EventQueue
from .subscriptions import Subscriptions, unavailable
from .tasks import Tasks
from .topic import Topic

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Pause after the layer failed."""


@dataclass(slots=True)
class Hooks:
    """What other parts want to be called for; ``wiring`` fills it.

    All are called on the hub's event loop.
    """

    started: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub starts."""

    lost: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub may have missed events."""

    unreachable: list[Callable[[], None]] = field(default_factory=list)
    """Called when a hub stays unreachable for ``unreachable_timeout_seconds``."""

    stream_changed: list[Callable[[Event], None]] = field(default_factory=list)
    """Called with each event that says that a Stream has changed or is gone."""

    handlers: "dict[str, Callable[[Hub, Any], Coroutine[Any, Any, None]]]" = field(
        default_factory=dict
    )
    """Called with an event that concerns processes, not one Stream; by its type."""


hooks = Hooks()


class Hub:
    """Brings what the layer carries to the connections of one event loop."""

    def __init__(self) -> None:
        """Make a hub for the running event loop."""
        self.layer = channel_layer()
        self.subscriptions = Subscriptions(self.layer, on_expired=self._expire)
        self.tasks = Tasks()
        self._starting = asyncio.Lock()
        self._start_failed = -RETRY_SECONDS
        self._receiver: asyncio.Task[None] | None = None
        self._slices = TimeSlices()
        self._queue = EventQueue(self._record_gap)
        self.probes = [
            Probe(self, server=server, group=_own_group(self.layer, server))
            for server in range(count_servers(self.layer))
        ]

    @property
    def is_receiving(self) -> bool:
        """Whether this process receives from the layer."""
        return self._receiver is not None and not self._receiver.done()

    @property
    def is_unreachable(self) -> bool:
        """Whether it hears nothing from one of the layer's servers."""
        return any(probe.is_unreachable for probe in self.probes)

    @property
    def lag(self) -> float:
        """Seconds by which the event loop last was late."""
        return max(probe.lag for probe in self.probes)

    async def start(self) -> None:
        """Open the process's channel and receive from it; once.

        Raises:
            ServiceUnavailable: 20503, the layer does not answer.
        """
        async with self._starting:
            if self.is_receiving:
                return
            if self._receiver is not None:
                # It was ended from outside, and nobody knows what it missed.
                self._doubt()
                self._receiver = asyncio.create_task(self._receive())
                return
            # Those who waited for the lock do not wait for the layer one by one.
            if monotonic() - self._start_failed < RETRY_SECONDS:
                raise ServiceUnavailable
            try:
                async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                    self.subscriptions.channel = await self.layer.new_channel()
                    for server in range(len(self.probes)):
                        await self._join_own_groups(server)
            except Exception as error:
                self._start_failed = monotonic()
                raise unavailable(error) from error
            self._receiver = asyncio.create_task(self._receive())
            self.tasks.spawn(self._deliver())
            for probe in self.probes:
                self.tasks.spawn(probe.watch())
            tune_collector()
            serve_on(asyncio.get_running_loop())
            backpressure().streams = self.subscriptions.topics
            _latest.hub = self
            for started in hooks.started:
                started()

    def _doubt(self) -> None:
        for probe in self.probes:
            probe.doubt()

    async def rejoin(self, server: int) -> bool:
        """Join every group that is on a server again; tell whether that went well."""
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self._join_own_groups(server)
            for topic in self._topics_on(server):
                await topic.join(self.layer, self.subscriptions.channel, again=True)
        except Exception as error:
            logger.warning("groups could not be joined again: %r", error)
            return False
        return True

    async def reconnect(self, server: int) -> None:
        """Listen to a server by new connections."""
        try:
            await reconnect(self.layer, server)
        except Exception as error:
            logger.warning("connections could not be broken: %r", error)

    def lose(self, server: int) -> None:
        """Take it that events from a server may be missing from now on."""
        for lost in hooks.lost:
            lost()

    def give_up(self) -> None:
        """Say that this process stays unreachable."""
        logger.error("this process is unreachable: it receives no events")
        for unreachable in hooks.unreachable:
            unreachable()

    def _topics_on(self, server: int) -> list[Topic]:
        return [
            topic
            for sid, topic in self.subscriptions.topics.items()
            if server_of(self.layer, stream_group(sid)) == server
        ]

    async def _join_own_groups(self, server: int) -> None:
        channel = self.subscriptions.channel
        if server_of(self.layer, PROCESS_GROUP) == server:
            await self.layer.group_add(PROCESS_GROUP, channel)
        await self.layer.group_add(self.probes[server].group, channel)

    async def _receive(self) -> None:
        while True:
            try:
                self._queue.put(await self.layer.receive(self.subscriptions.channel))
            except Exception:
                logger.exception("channel layer failed; the hub goes on")
                # What failed may have forgotten this process's groups.
                self._doubt()
                await asyncio.sleep(RETRY_SECONDS)

    async def _deliver(self) -> None:
        while True:
            for batch in batched(await self._queue.take()):
                try:
                    # First: who waits longer may find others subscribed, or nobody.
                    await self._slices.spend(EVENT_CONNECTIONS * len(batch))
                    await self._take(batch)
                except Exception:
                    logger.exception("an event failed; the hub goes on")

    def _record_gap(self, event: Event) -> None:
        topic = self.subscriptions.topics.get(event["stream_sid"])
        if topic is not None:
            record_gap(topic, event)

    async def _take(self, batch: list[Any]) -> None:
        event = batch[0]
        if event["type"] == MESSAGE:
            topic = self.subscriptions.topics.get(event["stream_sid"])
            if topic is not None and topic.is_joined:
                await deliver_messages(topic, batch, self._slices)
        elif event["type"] == "probe":
            self.probes[event["server"]].confirm()
        elif event["type"] in hooks.handlers:
            self.tasks.spawn(hooks.handlers[event["type"]](self, event))
        else:
            self._process_event(event)

    def _process_event(self, event: Event) -> None:
        for changed in hooks.stream_changed:
            changed(event)
        topic = self.subscriptions.topics.get(event["stream_sid"])
        if topic is None:
            return
        if event["type"] == "stream.removed":
            for outbox in deliver_removal(topic, event):
                self.subscriptions.unsubscribe(outbox, topic.stream_sid)
                if outbox.on_removed is not None:
                    outbox.on_removed(topic.stream_sid)
        elif event["type"] == "stream.updated":
            self.subscriptions.expire_at(
                topic.stream_sid, event.get("expires_at"), is_news=True
            )

    def _expire(self, stream_sid: str) -> None:
        event: Event = {"type": "stream.removed", "stream_sid": stream_sid}
        self._process_event(event)


def _own_group(layer: BaseChannelLayer, server: int) -> str:
    """Return a name of a group, nobody else's, that is on a server."""
    while True:
        group = f"sync_streams.probe.{token_hex(8)}"
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


def is_receiving() -> bool:
    """Tell whether this process is told of removals, by the hub that started last."""
    hub = _latest.hub
    return hub is not None and hub.is_receiving and not hub.is_unreachable
