"""Hub: delivers the channel layer's events to the connections of this process.

One channel and one receive loop serve every Stream, so a publish costs the layer one
delivery per process, however many subscribers there are.
"""

import asyncio
import logging
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any

from channels.layers import InMemoryChannelLayer

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable
from sync_streams.processes.per_loop import PerLoop
from sync_streams.values.throttle import Throttle

from .cluster.backpressure import backpressure
from .cluster.broadcast import channel_layer, unavailable
from .cluster.event_loop import call_soon, serve_on
from .cluster.servers import on_interruption, receive
from .cluster.survey import replies
from .counters import counters
from .events import ANSWER, JOINED, MESSAGE, PROBE, STREAM_EVENTS, Event, is_readable
from .fanout import (
    CONNECTION_EVENTS,
    TimeSlices,
    batched,
    deliver_messages,
    deliver_removal,
    record_drop,
    tell_gap,
)
from .gc import tune_collector
from .hooks import hooks
from .membership import Membership
from .meters import meters
from .queue import EventQueue
from .sequence import numbers
from .subscriptions import Subscriptions
from .tasks import Tasks
from .tracing import delivering

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Pause after the layer failed."""

UNREADABLE = ValueError, TypeError, LookupError
"""What layers raise for an unreadable event; their own errors share no base class. The
connection that it came over still works."""

UNREADABLE_PAUSE_SECONDS = 0.01
"""Pause after an unreadable event, so that a flood leaves time for everything else."""

REJECTED_LOG_SECONDS = 60
"""Time between two log lines about unreadable events."""

RECOVERED = "server.recovered"
"""The hub's own event: a server reaches this process again."""

RECEIVE_AGAIN_SECONDS = 10
"""Pause before a process without connections tries to receive again."""


class Hub:
    """Delivers the layer's events to the connections of one event loop."""

    def __init__(self) -> None:
        """Create a hub for the running event loop."""
        self.layer = channel_layer()
        self._backpressure = backpressure()
        self.unreachable = self._backpressure.unreachable
        """Numbers of the layer's servers from which nothing arrives."""
        self.unreachable.clear()
        self.is_serving = False
        """Whether it serves connections, rather than only keeping the cache current."""
        self._loop = asyncio.get_running_loop()
        self.subscriptions = Subscriptions(self.layer, on_expired=self._expire)
        self.tasks = Tasks()
        self._starting = asyncio.Lock()
        self._start_failed = -RETRY_SECONDS
        self._receiver: asyncio.Task[None] | None = None
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._queue = EventQueue(self._drop)
        self._slices = TimeSlices(is_pressed=lambda: self._queue.is_filling)
        self._recovered: set[int] = set()
        self._watching = ExitStack()
        self._rejections = Throttle(REJECTED_LOG_SECONDS)
        self.membership = Membership(
            self.layer,
            self.subscriptions,
            on_lost=self._lose,
            on_recovered=self._recover,
            on_give_up=self._give_up,
        )
        self._replies = replies.get()
        self._replies.channel = self._channel_for_replies

    @property
    def is_receiving(self) -> bool:
        """Whether this process receives from the layer."""
        is_alive = self._receiver is not None and not self._receiver.done()
        return is_alive and self._loop.is_running()

    @property
    def is_started(self) -> bool:
        """Whether :meth:`start` has nothing left to do."""
        return self.is_serving and self.is_receiving

    @property
    def is_unreachable(self) -> bool:
        """Whether nothing arrives from one of the layer's servers."""
        return bool(self.unreachable)

    @property
    def lag(self) -> float:
        """Latest delay of the event loop, in seconds."""
        return self.membership.lag

    async def start(self) -> None:
        """Start to receive and to serve connections, unless already started.

        Raises:
            ServiceUnavailable: 20503, the layer does not respond.
        """
        # Even if the layer does not respond: otherwise synchronous callers would use a
        # loop of their own, which opens its own connections and logs the outage again.
        serve_on(self._loop)
        await self.receive()
        if not self.is_serving:
            self.is_serving = True
            tune_collector()
            for serving in hooks.serving:
                serving()

    @property
    def waiting(self) -> int:
        """Number of events waiting to be delivered."""
        return len(self._queue)

    async def receive(self) -> None:
        """Open the process's channel and receive from it, unless already open.

        Raises:
            ServiceUnavailable: 20503, the layer does not respond.
        """
        async with self._starting:
            if self.is_receiving:
                return
            if self._receiver is not None:
                # It was cancelled from outside, so what it missed is unknown.
                self.membership.doubt()
                self._recovered.clear()
                self._spawn_tasks()
                return
            # Callers that waited for the lock must not each wait for the layer again.
            if monotonic() - self._start_failed < RETRY_SECONDS:
                raise ServiceUnavailable
            try:
                async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                    self.subscriptions.channel = await self.layer.new_channel()
                    for server in range(len(self.membership.probes)):
                        await self.membership.join_own_groups(server)
            except Exception as error:
                self._start_failed = monotonic()
                raise unavailable(error) from error
            unwatch = on_interruption(self.layer, self._note_interruption)
            self._watching.callback(unwatch)
            self._spawn_tasks()
            self._backpressure.streams = self.subscriptions.topics
            for started in hooks.started:
                started()
            _latest.follow(self)

    def _spawn_tasks(self) -> None:
        """Start those of the hub's tasks that are not running."""
        self._receiver = asyncio.create_task(self._receive())
        works = [self._deliver, *(probe.watch for probe in self.membership.probes)]
        for number, work in enumerate(works):
            if number not in self._workers or self._workers[number].done():
                self._workers[number] = self.tasks.spawn(work())

    def stop(self) -> None:
        """Stop for good; from any thread. The loop's next hub is a new one."""
        with suppress(RuntimeError):  # the loop and all its tasks have ended
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._watching.close()
        ended = [task for task in (self._receiver, *self.tasks) if task is not None]
        for task in ended:
            task.cancel()
        if _hubs.peek() is self:
            _hubs.drop()
            # No probe would notice that this is over.
            self.unreachable.clear()
        if ended:
            self.tasks.spawn(self.membership.leave(ended))

    def _note_interruption(self, server: int) -> None:
        self.membership.probes[server].doubt("its connection broke")

    async def _receive(self) -> None:
        channel = self.subscriptions.channel
        while True:
            try:
                await receive(self.layer, channel, self._accept, self._reject)
            except UNREADABLE as error:
                self._reject(error)
                await asyncio.sleep(UNREADABLE_PAUSE_SECONDS)
            except Exception:
                logger.exception("channel layer failed; the hub will retry")
                # The layer may have forgotten this process's groups.
                self.membership.doubt()
                await asyncio.sleep(RETRY_SECONDS)

    def _accept(self, event: object) -> None:
        if not is_readable(event):
            self._reject(ValueError("an event of unknown shape"))
        elif event["type"] == ANSWER:
            # The process that asked waits for the reply, but only for a moment.
            self._replies.take(event)
        elif event["type"] == JOINED:
            topic = self.subscriptions.topics.get(event["stream_sid"])
            if topic is not None:
                topic.note_reached()
        else:
            if event["type"] == MESSAGE and "sequence" in event:
                self._check_sequence(event)
            self._queue.put(event)

    def _check_sequence(self, event: dict[str, Any]) -> None:
        topic = self.subscriptions.topics.get(event["stream_sid"])
        if topic is not None and topic.is_joined:
            topic.is_incomplete |= not topic.arrivals.are_complete(event)

    def _channel_for_replies(self) -> str | None:
        is_open = self.is_receiving and self.layer is channel_layer()
        return self.subscriptions.channel if is_open else None

    def _reject(self, error: Exception) -> None:
        counters.events_rejected += 1
        if self._rejections.allows():
            logger.error(
                "an event could not be read: %r (%d so far)",
                *(type(error), counters.events_rejected),
            )
        # It may have been a Message of any Stream.
        for server in range(len(self.membership.probes)):
            self.membership.recover(server)

    async def _deliver(self) -> None:
        while True:
            for batch in batched(await self._queue.take()):
                try:
                    # Yield first, since subscriptions may change meanwhile.
                    await self._slices.spend(1 + len(batch) // CONNECTION_EVENTS)
                    await self._take(batch)
                except Exception:
                    logger.exception("an event failed; the hub continues")

    def _drop(self, event: Any) -> None:
        if event.get("type") == RECOVERED:
            # Topics remember that they are incomplete, until their next Message.
            self._recovered.discard(event["server"])
        topic = self.subscriptions.topics.get(event.get("stream_sid", ""))
        if topic is not None:
            record_drop(topic, event)

    def _lose(self) -> None:
        for lost in hooks.lost:
            lost()

    def _recover(self, server: int) -> None:
        # Queued in order, so that subscribers are told before they receive the next
        # event. One gap covers all losses until then, so bad events cost subscribers
        # nothing.
        if server not in self._recovered:
            self._recovered.add(server)
            self._queue.put({"type": RECOVERED, "server": server})

    def _give_up(self) -> None:
        logger.error("this process stays unreachable; closing its connections")
        for unreachable in hooks.unreachable:
            unreachable()

    async def _take(self, batch: list[Any]) -> None:
        event = batch[0]
        if event["type"] == MESSAGE:
            topic = self.subscriptions.topics.get(event["stream_sid"])
            if topic is not None and topic.is_joined:
                with delivering(batch, topic):
                    await deliver_messages(topic, batch, self._slices)
                meters.observe_since("delivery_seconds", event.get("at"))
        elif event["type"] == PROBE:
            self.membership.probes[event["server"]].confirm(event.get("number"))
        elif event["type"] == RECOVERED:
            self._recovered.discard(event["server"])
            for topic in self.membership.topics_on(event["server"]):
                await tell_gap(topic, self._slices)
        elif event["type"] in hooks.handlers:
            self.tasks.spawn(hooks.handlers[event["type"]](self, event))
        elif event["type"] in STREAM_EVENTS:
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


class _Latest:
    """The hub through which this process receives changes."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.hub: Hub | None = None
        self.attempts = Throttle(RECEIVE_AGAIN_SECONDS)

    def follow(self, hub: Hub) -> None:
        previous, self.hub = self.hub, hub
        if previous is not None and not previous.is_serving:
            previous.stop()


_latest = _Latest()
_hubs = PerLoop(Hub)


def get_hub() -> Hub:
    """Return the hub of the running event loop."""
    hub = _hubs.get()
    if hub.layer is not channel_layer():
        # As in tests: events sent from now on would not arrive over the old layer.
        hub.stop()
        hub = Hub()
        _hubs.set(hub)
    return hub


def is_receiving() -> bool:
    """Return whether the latest hub of this process is receiving changes."""
    hub = _latest.hub
    return hub is not None and hub.is_receiving and not hub.unreachable


def latest_hub() -> Hub | None:
    """Return the hub that was started last in this process, if any."""
    return _latest.hub


def receive_soon() -> None:
    """Start to receive changes in a process without connections; does not wait.

    It costs a connection to the layer and a probe. An in-memory layer has no changes
    for such a process.
    """
    is_alive = _latest.hub is not None and _latest.hub.is_receiving
    if is_alive or not _latest.attempts.allows():
        return
    if not isinstance(channel_layer(), InMemoryChannelLayer):
        call_soon(_receive)


def _receive() -> None:
    hub = get_hub()
    hub.tasks.spawn(_try_to_receive(hub))


async def _try_to_receive(hub: Hub) -> None:
    with suppress(ServiceUnavailable):
        await hub.receive()


def forget_after_fork() -> None:
    """Reset in a forked child, where the parent's hubs receive nothing."""
    _latest.forget()
    _hubs.clear()
    replies.clear()
    numbers.clear()
