"""Fan-out: writes an event once for each protocol and hands it to every connection.

Messages of one Stream that wait together are handed over together, in one frame where
the protocol can: a process that has fallen behind pays one write a connection, however
many Messages it makes up for.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from .broadcast import MESSAGE, Event
from .counters import counters
from .frames import Encoder, Frame
from .outbox import Outbox
from .topic import Topic

logger = logging.getLogger(__name__)

MAX_BUNDLE = 16
"""Messages of one Stream that are handed over together. More might not fit into an
outbox that writes only when its turn comes."""

TURN = 64
"""Connections served before the event loop looks after something else."""

EVENT_COST = 8
"""Connections that could be served in the time that an event itself takes."""

PUBLISH_TURNS = 4
"""Turns of the event loop from a publisher's frame to its answer. As many lie between
those of a fan-out, so that publishers wait for one of these at most, unless a hub is
behind."""


class Turns:
    """The event loop's time, which deliveries share with everything else."""

    def __init__(self) -> None:
        """Begin with a whole turn."""
        self._left = TURN

    async def spend(self, work: int) -> None:
        """Let others run first, unless there is time left for so much work.

        Args:
            work: connections that could be served in that time.
        """
        if self._left < work:
            for _ in range(PUBLISH_TURNS):
                await asyncio.sleep(0)
            self._left = TURN
        self._left -= work


def bundled(events: Iterable[Any]) -> list[list[Any]]:
    """Put Messages of one Stream together, but none past an event of another kind."""
    bundles: list[list[Any]] = []
    latest: dict[str, list[Any]] = {}
    for event in events:
        if event.get("type") != MESSAGE:
            latest.clear()
            bundles.append([event])
            continue
        stream_sid = event.get("stream_sid", "")
        bundle = latest.get(stream_sid)
        if bundle is None or len(bundle) == MAX_BUNDLE:
            bundle = latest[stream_sid] = []
            bundles.append(bundle)
        bundle.append(event)
    return bundles


async def deliver_messages(topic: Topic, events: Sequence[Event], turns: Turns) -> None:
    """Deliver Messages of one Stream, in their order, to all who listen here now."""
    fans = []
    for encoder, members in topic.members.items():
        origins = _origins(encoder, events)
        for connection_id in origins & members.keys():
            others = [event for event in events if event.get("origin") != connection_id]
            _deliver(Bundle(encoder, others), [members[connection_id]])
        outboxes = [box for key, box in members.items() if key not in origins]
        fans.append((Bundle(encoder, events), members, outboxes))
    # From here on others run in between, and connections come and go.
    for bundle, members, outboxes in fans:
        for start in range(0, len(outboxes), TURN):
            turn = outboxes[start : start + TURN]
            await turns.spend(len(turn))
            _deliver(bundle, [box for box in turn if box.connection_id in members])


def miss_message(topic: Topic, event: Event) -> None:
    """Let all who listen here be told of a gap before their next Message."""
    for encoder, members in topic.members.items():
        origins = _origins(encoder, [event])
        for connection_id, outbox in members.items():
            if connection_id not in origins:
                outbox.miss(event["stream_sid"])


def deliver_removal(topic: Topic, event: Event) -> list[Outbox]:
    """Tell all who listen here that the Stream is gone; return them."""
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


class Bundle:
    """Messages of one Stream, written in one protocol for all its connections."""

    def __init__(self, encoder: Encoder, events: Sequence[Event]) -> None:
        """Write them."""
        frames = (_written(encoder.message_published, event) for event in events)
        self.frames = [frame for frame in frames if frame is not None]
        """One for each Message, as they wait and are dropped."""
        self.merged = _merge(encoder, self.frames)
        """The same, for who takes all of them at once."""
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


def _deliver(bundle: Bundle, outboxes: Collection[Outbox]) -> None:
    # Outbox.put, spelt out: this is what a Message costs for each subscriber, and the
    # objects touched here are cold by the time their turn comes.
    wire, size, is_plain = bundle.wire, bundle.size, bundle.is_plain
    for outbox in outboxes:
        direct = outbox.direct
        if direct is None or outbox.sent + size >= outbox.check_at:
            _put(bundle.frames, outbox)
            continue
        try:
            direct(wire)
            if is_plain:
                outbox.sent += size
            else:
                outbox.note_sent(*bundle.merged)
        except Exception:
            logger.exception("a connection failed; the others go on")
            outbox.give_up()
    counters.delivered += len(bundle.frames) * len(outboxes)


def _put(frames: Sequence[Frame], outbox: Outbox) -> None:
    try:
        for frame in frames:
            outbox.put(frame)
    except Exception:
        logger.exception("a connection failed; the others go on")
        outbox.give_up()
