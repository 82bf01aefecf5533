"""Encodes events on Streams as Server-Sent Events.

Each event is encoded once for all connections that render Messages in the same way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import jitter
from sync_streams.connections.response import RECONNECT_SECONDS
from sync_streams.delivery.events import Event
from sync_streams.delivery.outbox.frames import Frame

Render = Callable[[Any], str]
"""Turns a Message's data into the text of its event."""

HEARTBEAT = b":\n\n"

AWAY_SECONDS = 86_400
"""``retry`` for a client that must not return: EventSource cannot be told to stop, and
would reconnect within seconds after an operator has disconnected it."""


class SseFrame:
    """One event, as part of the response's body."""

    __slots__ = ("ack_id", "event", "messages", "size", "stream_sid")

    def __init__(self, data: bytes, *, stream_sid: str | None = None) -> None:
        """Wrap the event.

        Args:
            data: the event, including its final empty line.
            stream_sid: the Stream of a Message.
        """
        self.event = data
        self.size = len(data)
        self.stream_sid = stream_sid
        self.ack_id: str | None = None
        self.messages = int(stream_sid is not None)

    @property
    def wire(self) -> bytes:
        """The event as a chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
        return b"%x\r\n%b\r\n" % (self.size, self.event)


class SseEncoder:
    """Encodes events; Messages either in the JSON socket's format, or rendered."""

    transport = "sse"
    protocol_name = "Server-Sent Events"
    skips_origin = False

    def __init__(self, render: Render | None = None) -> None:
        """Encode Messages as JSON, or with *render*."""
        self._render = render

    def message_published(self, event: Event) -> Frame:
        """Encode a Message; its SID is the event's id."""
        name = ""
        if self._render is None:
            name = "message"
            text = (
                f'{{"stream_sid":"{event["stream_sid"]}","message":'
                f'{{"sid":"{event["message_sid"]}","data":{event["text"]}}}}}'
            )
        else:
            text = self._render(json.loads(event["text"]))
        data = write(name, text, event_id=event["message_sid"])
        return SseFrame(data, stream_sid=event["stream_sid"])

    def merge(self, waiting: Sequence[Frame]) -> Frame:
        """Merge nothing: each Message is an event of its own."""
        return waiting[0]

    def stream_removed(self, event: Event) -> Frame:
        """Encode the removal of a Stream."""
        return tell("removed", {"stream_sid": event["stream_sid"]})

    def gap(self, stream_sid: str, dropped: int | None) -> Frame:
        """Encode a gap."""
        return tell("gap", {"stream_sid": stream_sid, "dropped": dropped})

    def ping(self) -> Frame:
        """Encode a comment, which keeps proxies from closing the connection."""
        return SseFrame(HEARTBEAT)

    def opening(self) -> bytes:
        """Encode when to reconnect if the connection breaks."""
        return f"retry: {1000 + round(jitter(RECONNECT_SECONDS) * 1000)}\n\n".encode()

    def closing(self, code: CloseCode, pause: float | None) -> Frame:
        """Encode why the response ends, and when to reconnect."""
        said = {"code": int(code), "reason": code.reason, "reconnect_after": pause}
        retry = round((AWAY_SECONDS if pause is None else pause) * 1000)
        return tell("closing", said, retry=retry)


def tell(
    name: str, fields: Mapping[str, object], *, retry: int | None = None
) -> SseFrame:
    """Encode an event other than a Message."""
    text = json.dumps(fields, separators=(",", ":"))
    return SseFrame(write(name, text, retry=retry))


def write(
    name: str, text: str, *, event_id: str = "", retry: int | None = None
) -> bytes:
    """Return an event's bytes on the wire, in UTF-8.

    Args:
        name: the type of the event; without one EventSource takes it for a ``message``,
            and htmx 4 swaps it in.
        text: its ``data``, of any number of lines.
        event_id: the ``Last-Event-ID`` that a reconnecting client sends.
        retry: milliseconds until a client should reconnect.
    """
    lines = [f"event: {name}"] if name else []
    if event_id:
        lines.append(f"id: {event_id}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    # Any of the format's three line endings would end the field.
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines += [f"data: {row}" for row in rows]
    return ("\n".join(lines) + "\n\n").encode()


_PLAIN = SseEncoder()
_RENDERING: dict[Render, SseEncoder] = {}

MAX_RENDERERS = 256
"""Renderers whose encoders are shared between connections."""


def encoder_for(render: Render | None) -> SseEncoder:
    """Return the encoder that all connections with that renderer share."""
    if render is None:
        return _PLAIN
    encoder = _RENDERING.get(render)
    if encoder is None:
        encoder = SseEncoder(render)
        if len(_RENDERING) < MAX_RENDERERS:
            _RENDERING[render] = encoder
    return encoder
