"""Fan-out: writes an event once for each protocol and hands it to every connection.

Messages of one Stream that wait together are handed over together, in one frame where
the protocol can: a process that has fallen behind pays one write a connection, however
many Messages it makes up for.
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

MAX_BATCH = 16
"""Messages of one Stream that are handed over together. More might not fit into an
outbox that writes only when its time slice comes."""

SLICE_CONNECTIONS = 64
"""Connections served before the event loop looks after something else."""

EVENT_CONNECTIONS = 8
"""Connections that could be served in the time that an event itself takes."""

YIELD_TURNS = 4
"""Turns of the event loop from a publisher's frame to its answer. As many lie between
the time slices of a fan-out, so that a publisher waits for one of these at most, unless
the hub is behind."""


class TimeSlices:
    """The event loop's time, which deliveries share with everything else."""

    def __init__(self) -> None:
        self._left = SLICE_CONNECTIONS

    async def spend(self, work: int) -> None:
        """Let others run first, unless there is time left for so much work.

        Args:
            work: connections that could be served in that time.
        """
        if self._left < work:
            for _ in range(YIELD_TURNS):
                await asyncio.sleep(0)
            self._left = SLICE_CONNECTIONS
        self._left -= work


def batched(events: Iterable[Any]) -> list[list[Any]]:
    """Put Messages of one Stream together, but none past an event of another kind."""
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
    """Deliver Messages of one Stream, in their order, to its subscribers here."""
    if topic.is_incomplete:
        await tell_gap(topic, slices)
    fans = []
    for encoder, members in topic.members.items():
        origins = _origins(encoder, events)
        for connection_id in origins & members.keys():
            others = [event for event in events if event.get("origin") != connection_id]
            _deliver(Batch(encoder, others), [members[connection_id]])
        outboxes = [box for key, box in members.items() if key not in origins]
        fans.append((Batch(encoder, events), members, outboxes))
    # From here on others run in between, and connections come and go.
    for batch, members, outboxes in fans:
        for start in range(0, len(outboxes), SLICE_CONNECTIONS):
            part = outboxes[start : start + SLICE_CONNECTIONS]
            await slices.spend(len(part))
            _deliver(batch, [box for box in part if box.connection_id in members])


def record_drop(topic: Topic, event: Event) -> None:
    """Count a dropped Message for each subscriber here, to be told as a gap."""
    for encoder, members in topic.members.items():
        origins = _origins(encoder, [event])
        for connection_id, outbox in members.items():
            if connection_id not in origins:
                outbox.record_drop(event["stream_sid"])


async def tell_gap(topic: Topic, slices: TimeSlices) -> None:
    """Tell the subscribers here that Messages may have been lost, however many."""
    topic.is_incomplete = False
    for encoder, members in tuple(topic.members.items()):
        outboxes = tuple(members.values())
        frame = encoder.gap(topic.stream_sid, None)
        if frame is None:
            counters.gaps_untold += len(outboxes)
            continue
        for start in range(0, len(outboxes), SLICE_CONNECTIONS):
            part = outboxes[start : start + SLICE_CONNECTIONS]
            await slices.spend(len(part))
            for outbox in part:
                if outbox.connection_id in members:
                    outbox.tell_gap(topic.stream_sid, frame)


def deliver_removal(topic: Topic, event: Event) -> list[Outbox]:
    """Tell the subscribers here that the Stream is gone; return their outboxes."""
    told = []
    for encoder, members in tuple(topic.members.items()):
        origins = _origins(encoder, [event])
        frame = _written(encoder.stream_removed, event)
        for connection_id, outbox in members.items():
            told.append(outbox)
            if frame is not None and connection_id not in origins:
                _put([frame], outbox)
    return told


def _origins(encoder: Encoder, events: Sequence[Event]) -> set[str]:
    """Return the connections that must not be told of all the events."""
    if not encoder.skips_origin:
        return set()
    return {origin for event in events if (origin := event.get("origin"))}


class Batch:
    """Messages of one Stream, written in one protocol for all its connections."""

    def __init__(self, encoder: Encoder, events: Sequence[Event]) -> None:
        """Write them."""
        frames = (_written(encoder.message_published, event) for event in events)
        self.frames = [frame for frame in frames if frame is not None]
        """One for each Message, as they wait and are dropped."""
        self.merged = _merge(encoder, self.frames)
        """The same, for outboxes that take all of them at once."""
        self.wire = b"".join(frame.wire for frame in self.merged)
        self.size = sum(frame.size for frame in self.merged)
        self.is_plain = all(frame.ack_id is None for frame in self.merged)


def _merge(encoder: Encoder, frames: Sequence[Frame]) -> list[Frame]:
    waiting, merged = list(frames), []
    while waiting:
        merged.append(encoder.merge(waiting))
        del waiting[: merged[-1].messages]
    return merged


def _written(write: Callable[[Event], Frame], event: Event) -> Frame | None:
    try:
        return write(event)
    except Exception:
        logger.exception("a protocol cannot write %s; the others go on", event["type"])
        return None


def _deliver(batch: Batch, outboxes: Collection[Outbox]) -> None:
    # Outbox.put, spelt out: this is what a Message costs for each subscriber, and the
    # objects touched here are cold by the time it is their turn.
    wire, size, is_plain = batch.wire, batch.size, batch.is_plain
    for outbox in outboxes:
        direct = outbox.direct
        if direct is None or outbox.sent + size >= outbox.check_at:
            _put(batch.frames, outbox)
            continue
        try:
            direct(wire)
            if is_plain:
                outbox.sent += size
            else:
                outbox.note_sent(*batch.merged)
        except Exception:
            logger.exception("a connection failed; the others go on")
            outbox.give_up()
    counters.delivered += len(batch.frames) * len(outboxes)


def _put(frames: Sequence[Frame], outbox: Outbox) -> None:
    try:
        for frame in frames:
            outbox.put(frame)
    except Exception:
        logger.exception("a connection failed; the others go on")
        outbox.give_up()
