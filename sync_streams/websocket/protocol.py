"""Frames of the JSON socket, subprotocol ``sync-streams.v1``; no I/O.

Every frame is a text frame with one JSON object, identified by its ``type``.
``docs/wire-websocket.md`` documents each of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from types import NoneType
from typing import Any

from sync_streams.conf import get_settings
from sync_streams.connections.frames import WebSocketFrame
from sync_streams.delivery.events import Event
from sync_streams.delivery.outbox.frames import Frame
from sync_streams.errors import (
    DataTooLarge,
    InvalidJSON,
    InvalidParameter,
    SyncError,
)
from sync_streams.models import Stream
from sync_streams.operations.data import Message, read_json
from sync_streams.values.utc import to_iso

SUBPROTOCOL = "sync-streams.v1"
MAX_ID_LENGTH = 64

PONG = b'{"type":"pong"}'
"""The answer to a ping, without spaces."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)

NO_FRAME = "A frame is a JSON object with a type"

RequestId = float | str | None
_ID_TYPES = int, float, str, NoneType


@dataclass(frozen=True, slots=True)
class Request:
    """One frame from the client."""

    type: str
    """What it asks for; empty if that is missing or not a string."""

    id: RequestId
    """Repeated in the reply; a number or a string of at most 64 characters."""

    fields: Mapping[str, Any] = field(repr=False)
    fault: SyncError | None = None
    """Why it cannot be handled although it has an id to reply to."""

    def text(self, name: str) -> str:
        """Return a field that must be text.

        Raises:
            InvalidParameter: 20001, it is missing, empty or not text.
        """
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidParameter(f"Invalid {name}: expected a string")
        return value


def parse(text: str | None) -> Request:
    """Read a frame from the client.

    Raises:
        InvalidParameter: 20001, it is binary or not an object, or its id is neither a
            number nor a string of at most 64 characters.
        InvalidJSON: 54008, it is not JSON at all. If its only errors are numbers that
            JSON does not allow, the result is a request with a fault instead.
        DataTooLarge: 54006, it exceeds ``max_frame_bytes``.
    """
    if text is None:
        raise InvalidParameter("Binary frames are not understood")
    if len(text.encode(errors="surrogatepass")) > get_settings().max_frame_bytes:
        raise DataTooLarge
    fault = None
    try:
        fields = read_json(text)
    except InvalidJSON as error:
        fields, fault = _salvage(text), error
    if not isinstance(fields, dict):
        raise InvalidParameter(NO_FRAME)
    type_, request_id = fields.get("type"), fields.get("id")
    # A bool is an int in Python, but not in JSON.
    is_id = isinstance(request_id, _ID_TYPES) and not isinstance(request_id, bool)
    if isinstance(request_id, float):  # NaN cannot be repeated: it is not JSON
        is_id = isfinite(request_id)
    if not is_id or len(str(request_id)) > MAX_ID_LENGTH:
        raise InvalidParameter(
            "Invalid id: expected a number or a string, at most 64 characters"
        )
    return Request(type_ if isinstance(type_, str) else "", request_id, fields, fault)


def reply(type_: str, request_id: RequestId = None, **fields: object) -> WebSocketFrame:
    """Write a frame that answers a request, or an unsolicited one."""
    head = {"type": type_} if request_id is None else {"type": type_, "id": request_id}
    return WebSocketFrame(_ENCODER.encode({**head, **fields}))


def published(message: Message, request_id: RequestId) -> WebSocketFrame:
    """Write the reply to a publish; each costs one, so only the id is encoded."""
    head = "" if request_id is None else f',"id":{_ENCODER.encode(request_id)}'
    return WebSocketFrame(
        f'{{"type":"published"{head},"message_sid":"{message.sid}",'
        f'"stream_sid":"{message.stream_sid}"}}'
    )


def error(fault: SyncError, request_id: RequestId) -> Frame:
    """Write an error; the socket stays open."""
    fields = {"type": "error", "id": request_id, **fault.to_dict()}
    if fault.retry_after is not None:
        fields["retry_after"] = round(fault.retry_after, 3)
    return WebSocketFrame(_ENCODER.encode(fields))


def describe_stream(stream: Stream) -> dict[str, str | None]:
    """Return the properties of a Stream that a subscriber receives."""
    expires = stream.date_expires
    return {
        "sid": stream.sid,
        "unique_name": stream.unique_name,
        "date_expires": to_iso(expires) if expires else None,
    }


class JsonEncoder:
    """Encodes events of Streams, once for all connections."""

    skips_origin = False
    """A publisher that is also subscribed receives its own Messages too."""

    def message_published(self, event: Event) -> Frame:
        """Write a Message; its data is already JSON text."""
        return WebSocketFrame(
            f'{{"type":"message","stream_sid":"{event["stream_sid"]}","message":'
            f'{{"sid":"{event["message_sid"]}","data":{event["text"]}}}}}',
            stream_sid=event["stream_sid"],
        )

    def merge(self, waiting: Sequence[Frame]) -> Frame:
        """Merge nothing: each Message is a separate frame."""
        return waiting[0]

    def stream_removed(self, event: Event) -> Frame:
        """Write that a Stream has been removed."""
        return reply("stream_removed", stream_sid=event["stream_sid"])

    def gap(self, stream_sid: str, dropped: int | None) -> Frame:
        """Write how many Messages were dropped before the next one."""
        return reply("gap", stream_sid=stream_sid, dropped=dropped)

    def ping(self) -> Frame:
        """Write a ping, which the client answers with a pong."""
        return WebSocketFrame('{"type":"ping"}', ack_id="")


def _salvage(text: str) -> dict[str, object]:
    """Return the id of a frame with numbers that JSON does not allow."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidJSON from error
    return {"id": fields.get("id")} if isinstance(fields, dict) else {}
