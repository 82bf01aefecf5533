"""Encoder of what is delivered to Twilsock connections, once for all of them.

The connection that publishes or removes is skipped, because its SDK notifies the
application itself. See ``docs/wire-twilsock.md``.
"""

from collections.abc import Sequence
from secrets import token_hex

from sync_streams.connections.frames import WebSocketFrame
from sync_streams.delivery.events import Event
from sync_streams.delivery.outbox.frames import Frame

from . import events, frames

MERGED_MAX_BYTES = 16_384
"""Upper limit for one notification that merges several waiting Messages."""


def new_frame_id() -> str:
    """Return an id for a frame that the server initiates."""
    return f"TM{token_hex(16)}"


def notification(payload: bytes) -> Frame:
    """Wrap events in a frame, which the client acknowledges like all except replies."""
    frame_id = new_frame_id()
    return WebSocketFrame(frames.notification(frame_id, payload), ack_id=frame_id)


class MessageFrame(WebSocketFrame):
    """The notification of one Message, which can be merged with others."""

    __slots__ = ("published",)

    published: Event
    """The Message, for a merged notification."""


class TwilsockEncoder:
    """Encodes events of Streams, in one version of the event protocol."""

    skips_origin = True

    def __init__(self, version: int) -> None:
        self._version = version
        self._merged: tuple[list[MessageFrame], Frame | None] = [], None

    def message_published(self, event: Event) -> Frame:
        """Write a Message; its SID is also the frame's id."""
        stream_sid, sid = event["stream_sid"], event["message_sid"]
        payload = events.messages_published(self._version, event)
        data = frames.notification(sid, payload)
        frame = MessageFrame(data, stream_sid=stream_sid, ack_id=sid)
        frame.published = event
        return frame

    def merge(self, waiting: Sequence[Frame]) -> Frame:
        """Merge consecutive waiting Messages into one notification."""
        messages = _run(waiting) if self._version == events.NEWEST_VERSION else []
        if len(messages) < 2:
            return waiting[0]
        known, merged = self._merged
        # Connections that fell behind together usually wait for the same Messages.
        if merged is None or known != messages:
            merged = self._merge(messages)
            self._merged = messages, merged
        return merged

    def stream_removed(self, event: Event) -> Frame:
        """Write that a Stream has been removed."""
        return notification(events.stream_removed(self._version, event))

    def gap(self, stream_sid: str, dropped: int | None) -> None:
        """Write nothing: the SDK has no notification for dropped Messages."""

    def ping(self) -> Frame:
        """Write a ping, which the client acknowledges."""
        frame_id = new_frame_id()
        return WebSocketFrame(frames.ping(frame_id), ack_id=frame_id)

    def _merge(self, messages: list[MessageFrame]) -> Frame:
        published = [message.published for message in messages]
        payload = events.messages_published(self._version, *published)
        frame_id = new_frame_id()
        return WebSocketFrame(
            frames.notification(frame_id, payload),
            ack_id=frame_id,
            messages=len(messages),
        )


ENCODERS = {
    version: TwilsockEncoder(version)
    for version in (events.OLDEST_VERSION, events.NEWEST_VERSION)
}
"""By version; each Message is encoded once for each encoder in use."""


def _run(waiting: Sequence[Frame]) -> list[MessageFrame]:
    """Return the leading Messages that fit into one notification."""
    messages: list[MessageFrame] = []
    size = 0
    for frame in waiting:
        size += frame.size
        if not isinstance(frame, MessageFrame) or size > MERGED_MAX_BYTES:
            break
        messages.append(frame)
    return messages
