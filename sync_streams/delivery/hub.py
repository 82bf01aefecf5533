"""Hub: brings the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream, so a publish costs the layer one
delivery a process, whatever the number of subscribers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from secrets import token_hex
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import BaseChannelLayer

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .cluster.backpressure import backpressure
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

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Pause after the layer failed."""

listeners: list[Callable[[Event], None]] = []
"""Called with each event of the process group, on the event loop."""

handlers: dict[str, Callable[["Hub", Any], Coroutine[Any, Any, None]]] = {}
"""Called with an event that concerns processes, not one Stream; by its type."""

companions: list[Callable[[], None]] = []
"""Called when a hub starts, on its event loop."""

on_unreachable: list[Callable[[], None]] = []
"""Called when a hub hears nothing any more and joining again did not help."""


class Hub(Subscriptions):
    """This process's subscriptions, and its ear at the channel layer."""

    def __init__(self) -> None:
        """Make a hub for the running event loop."""
        super().__init__()
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
    def is_listening(self) -> bool:
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
            if self.is_listening:
                return
            if self._receiver is not None:
                # It was ended from outside, and nobody knows what it missed.
                self._doubt()
                self._receiver = asyncio.create_task(self._receive())
                return
            # Who waited for the lock does not wait for the layer, one after the other.
            if monotonic() - self._start_failed < RETRY_SECONDS:
                raise ServiceUnavailable
            try:
                async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                    self.channel = await self.layer.new_channel()
                    for server in range(len(self.probes)):
                        await self._join_own_groups(server)
            except Exception as error:
                self._start_failed = monotonic()
                raise unavailable(error) from error
            self._receiver = asyncio.create_task(self._receive())
            self.spawn(self._deliver())
            for probe in self.probes:
                self.spawn(probe.watch())
            tune_collector()
            serve_on(asyncio.get_running_loop())
            backpressure().streams = self.topics
            _latest.hub = self
            for companion in companions:
                companion()

    def _doubt(self) -> None:
        for probe in self.probes:
            probe.doubt()

    async def rejoin(self, server: int) -> bool:
        """Join every group that is on a server again; tell whether that went well."""
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self._join_own_groups(server)
            for sid, topic in tuple(self.topics.items()):
                if server_of(self.layer, stream_group(sid)) == server:
                    await topic.join(self.layer, self.channel, again=True)
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

    def give_up(self) -> None:
        """Tell those who care that this process stays deaf."""
        logger.error("this process hears nothing any more")
        for callback in on_unreachable:
            callback()

    async def _join_own_groups(self, server: int) -> None:
        if server_of(self.layer, PROCESS_GROUP) == server:
            await self.layer.group_add(PROCESS_GROUP, self.channel)
        await self.layer.group_add(self.probes[server].group, self.channel)

    async def _receive(self) -> None:
        while True:
            try:
                self._queue.put(await self.layer.receive(self.channel))
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
        topic = self.topics.get(event["stream_sid"])
        if topic is not None:
            record_gap(topic, event)

    async def _take(self, batch: list[Any]) -> None:
        event = batch[0]
        if event["type"] == MESSAGE:
            topic = self.topics.get(event["stream_sid"])
            if topic is not None and topic.is_joined:
                await deliver_messages(topic, batch, self._slices)
        elif event["type"] == "probe":
            self.probes[event["server"]].hear()
        elif event["type"] in handlers:
            self.spawn(handlers[event["type"]](self, event))
        else:
            self._process_event(event)

    def _process_event(self, event: Event) -> None:
        for listener in listeners:
            listener(event)
        topic = self.topics.get(event["stream_sid"])
        if topic is None:
            return
        if event["type"] == "stream.removed":
            for outbox in deliver_removal(topic, event):
                self.unsubscribe(outbox, topic.stream_sid)
        elif event["type"] == "stream.updated":
            self.expire_at(topic.stream_sid, event.get("expires_at"), is_news=True)

    def lapse(self, stream_sid: str) -> None:
        """Tell its subscribers here that a Stream is gone."""
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


def is_listening() -> bool:
    """Tell whether this process hears of removals, by the hub that started last."""
    hub = _latest.hub
    return hub is not None and hub.is_listening and not hub.is_unreachable
