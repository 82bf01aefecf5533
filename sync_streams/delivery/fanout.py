"""Fan-out: writes an event once for each protocol and hands it to every connection.

Messages of one Stream that wait together are handed over together: a process that has
fallen behind pays one write a connection, however many Messages it makes up for.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from .broadcast import Event
from .counters import counters
from .frames import Encoder, Frame
from .outbox import Outbox
from .topic import Topic

logger = logging.getLogger(__name__)

TURN = 256
"""Connections served before the event loop may look after something else."""


async def deliver_messages(topic: Topic, events: Sequence[Event]) -> None:
    """Deliver Messages of one Stream, in their order, to all who listen here."""
    for encoder, members in tuple(topic.members.items()):
        origins = _origins(encoder, events)
        for connection_id in origins & members.keys():
            others = [event for event in events if event["origin"] != connection_id]
            _deliver(_write_messages(encoder, others), [members[connection_id]])
        frames = _write_messages(encoder, events)
        outboxes = [box for key, box in members.items() if key not in origins]
        for start in range(0, len(outboxes), TURN):
            if start:
                await asyncio.sleep(0)
            turn = outboxes[start : start + TURN]
            # A connection may have left during an earlier turn.
            _deliver(frames, [box for box in turn if box.connection_id in members])


def deliver_removal(topic: Topic, event: Event) -> list[Outbox]:
    """Tell all who listen here that the Stream is gone; return them."""
    told = []
    for encoder, members in tuple(topic.members.items()):
        origins = _origins(encoder, [event])
        frame = _written(encoder.stream_removed, event)
        for connection_id, outbox in members.items():
            told.append(outbox)
            if frame is not None and connection_id not in origins:
                _hand_over([frame], [outbox])
    return told


def _origins(encoder: Encoder, events: Sequence[Event]) -> set[str]:
    """Return the connections that must not be told of all the events."""
    if not encoder.skips_origin:
        return set()
    return {origin for event in events if (origin := event.get("origin"))}


def _write_messages(encoder: Encoder, events: Sequence[Event]) -> list[Frame]:
    frames = (_written(encoder.message_published, event) for event in events)
    return [frame for frame in frames if frame is not None]


def _written(write: Callable[[Event], Frame], event: Event) -> Frame | None:
    try:
        return write(event)
    except Exception:
        logger.exception("a protocol cannot write %s; the others go on", event["type"])
        return None


def _deliver(frames: Sequence[Frame], outboxes: Collection[Outbox]) -> None:
    _hand_over(frames, outboxes)
    counters.delivered += len(frames) * len(outboxes)


def _hand_over(frames: Sequence[Frame], outboxes: Collection[Outbox]) -> None:
    # Outbox.put, spelt out: this is what a Message costs for each subscriber, and the
    # objects touched here are cold by the time their turn comes.
    wire = b"".join(frame.wire for frame in frames)
    size = sum(frame.size for frame in frames)
    is_plain = not any(frame.is_acknowledged for frame in frames)
    for outbox in outboxes:
        try:
            direct = outbox.direct
            if direct is not None and is_plain and outbox.sent + size < outbox.check_at:
                direct(wire)
                outbox.sent += size
            else:
                for frame in frames:
                    outbox.put(frame)
        except Exception:
            logger.exception("a connection failed; the others go on")
            outbox.give_up()
