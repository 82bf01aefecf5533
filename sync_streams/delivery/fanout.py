"""Fan-out: encodes an event once for each protocol and passes it to every connection.

Messages of one Stream that wait together are delivered together, in one frame if the
protocol allows it. A process that has fallen behind therefore pays one write for each
connection, however many Messages it catches up on.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from .counters import counters
from .events import MESSAGE, Event
from .outbox.frames import Encoder, Frame
from .outbox.outbox import Outbox
from .topic import Topic

logger = logging.getLogger(__name__)

NOT_ENCODED = "a protocol failed to encode %s; others are unaffected"

MAX_BATCH = 16
"""Messages of one Stream that are delivered together. A larger number might not fit
into an outbox that cannot write directly."""

SLICE_CONNECTIONS = 64
"""Connections served in one time slice, before the event loop does anything else."""

CONNECTION_EVENTS = 4
"""Further events of a batch that can be encoded while one connection is served."""

YIELD_TURNS = 4
"""Iterations of the event loop from a publisher's frame to its reply. A fan-out yields
as many between two time slices, so that a publisher waits for one slice at most. It
yields less often while events pile up: otherwise publishers would outpace it, and all
would have to wait."""


class TimeSlices:
    """Shares the event loop's time between deliveries and everything else."""

    def __init__(self, *, is_pressed: Callable[[], bool]) -> None:
        """Start with a whole slice.

        Args:
            is_pressed: returns whether deliveries are falling behind.
        """
        self._is_pressed = is_pressed
        self._left = SLICE_CONNECTIONS
        self._has_senders = False

    async def spend(self, work: int) -> None:
        """Yield to other tasks first, unless the time slice has room for the work.

        Args:
            work: its cost, in connections that could be served in the same time.
        """
        if self._left < work:
            for _ in range(YIELD_TURNS):
                await asyncio.sleep(0)
                if self._is_pressed() and not self._has_senders:
                    break
            self._left, self._has_senders = SLICE_CONNECTIONS, False
        self._left -= work

    def end(self) -> None:
        """End the slice: tasks are sending, and their outboxes could overflow."""
        self._left, self._has_senders = 0, True


def batched(events: Iterable[Any]) -> list[list[Any]]:
    """Group Messages of one Stream, without moving any past another kind of event."""
    batches: list[list[Any]] = []
    latest: dict[str, list[Any]] = {}
    for event in events:
        if event.get("type") != MESSAGE:
            latest.clear()
            batches.append([event])
            continue
        stream_sid = event.get("stream_sid", "")
        batch = latest.get(stream_sid)
        if batch is None or len(batch) == MAX_BATCH:
            batch = latest[stream_sid] = []
            batches.append(batch)
        batch.append(event)
    return batches


async def deliver_messages(
    topic: Topic, events: Sequence[Event], slices: TimeSlices
) -> None:
    """Deliver Messages of one Stream, in order, to its subscribers here."""
    if topic.is_incomplete:
        await tell_gap(topic, slices)
    origins, fans = {event.get("origin") for event in events}, []
    for encoder, members in topic.members.items():
        skipped = members.keys() & origins if encoder.skips_origin else ()
        for connection_id in skipped:
            others = [event for event in events if event.get("origin") != connection_id]
            _deliver(Batch(encoder, others), [members[connection_id]])
        outboxes = list(members.values())
        if skipped:
            outboxes = [box for key, box in members.items() if key not in skipped]
        fans.append((Batch(encoder, events), members, outboxes))
    # From here on other tasks run in between, and connections come and go.
    for batch, members, outboxes in fans:
        for start in range(0, len(outboxes), SLICE_CONNECTIONS):
            part = outboxes[start : start + SLICE_CONNECTIONS]
            await slices.spend(len(part))
            part = [box for box in part if box.connection_id in members]
            if _deliver(batch, part):
                slices.end()


def record_drop(topic: Topic, event: Event) -> None:
    """Record a dropped Message as a gap for each subscriber here."""
    for encoder, members in topic.members.items():
        origin = event.get("origin") if encoder.skips_origin else None
        for connection_id, outbox in members.items():
            if connection_id != origin:
                outbox.record_drop(event["stream_sid"])


async def tell_gap(topic: Topic, slices: TimeSlices) -> None:
    """Tell the subscribers here that an unknown number of Messages may be lost."""
    topic.is_incomplete = False
    for encoder, members in tuple(topic.members.items()):
        outboxes = tuple(members.values())
        frame = encoder.gap(topic.stream_sid, None)
        for start in range(0, len(outboxes), SLICE_CONNECTIONS):
            part = outboxes[start : start + SLICE_CONNECTIONS]
            await slices.spend(len(part))
            for outbox in part:
                if outbox.connection_id not in members:
                    continue
                if frame is None:
                    outbox.note_untold_gap()
                else:
                    outbox.tell_gap(topic.stream_sid, frame)


def deliver_removal(topic: Topic, event: Event) -> list[Outbox]:
    """Tell the subscribers here that the Stream is gone; return their outboxes."""
    told = []
    for encoder, members in tuple(topic.members.items()):
        origin = event.get("origin") if encoder.skips_origin else None
        try:
            frames = [encoder.stream_removed(event)]
        except Exception:
            logger.exception(NOT_ENCODED, event["type"])
            frames = []
        for connection_id, outbox in members.items():
            told.append(outbox)
            if connection_id != origin:
                _put(frames, outbox)
    return told


class Batch:
    """Messages of one Stream, encoded for all connections of one protocol."""

    def __init__(self, encoder: Encoder, events: Sequence[Event]) -> None:
        self.frames: list[Frame] = []
        """One for each Message, for outboxes that must queue them."""
        for event in events:
            try:
                self.frames.append(encoder.message_published(event))
            except Exception:
                logger.exception(NOT_ENCODED, event["type"])
        is_one = len(self.frames) == 1
        self.merged = self.frames if is_one else _merge(encoder, self.frames)
        """The same Messages merged, for outboxes that can write directly."""
        self.wire = b"".join([frame.wire for frame in self.merged])
        self.size = sum([frame.size for frame in self.merged])
        self.is_plain = not any(frame.ack_id for frame in self.merged)


def _merge(encoder: Encoder, frames: Sequence[Frame]) -> list[Frame]:
    waiting, merged = list(frames), []
    while waiting:
        merged.append(encoder.merge(waiting))
        del waiting[: merged[-1].messages]
    return merged


def _deliver(batch: Batch, outboxes: Collection[Outbox]) -> bool:
    """Deliver a batch; return whether tasks have to send it to some connections."""
    # Outbox.put, inlined: this is the cost of a Message per subscriber, and the objects
    # touched here are no longer in the CPU's caches.
    wire, size, is_plain = batch.wire, batch.size, batch.is_plain
    is_sending = False
    for outbox in outboxes:
        direct = outbox.direct
        if direct is None or outbox.sent + size >= outbox.check_at:
            _put(batch.frames, outbox)
            is_sending = is_sending or outbox.is_sending
            continue
        try:
            direct(wire)
            if is_plain:
                outbox.sent += size
            else:
                outbox.note_sent(*batch.merged)
        except Exception:
            logger.exception("a connection failed; the others continue")
            outbox.give_up()
    counters.delivered += len(batch.frames) * len(outboxes)
    return is_sending


def _put(frames: Sequence[Frame], outbox: Outbox) -> None:
    try:
        for frame in frames:
            outbox.put(frame)
    except Exception:
        logger.exception("a connection failed; the others continue")
        outbox.give_up()
