r"""Framing of Twilsock, the protocol of the ``twilio-sync`` SDKs; no I/O.

A WebSocket message is binary and holds exactly one frame, all sizes in bytes::

    TWILSOCK V3.0 <header size>\r\n<header, JSON>\r\n[<payload>[\r\n]]

The header's ``payload_size`` is the length of the payload; anything after that is
ignored. See ``docs/wire-twilsock.md``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sync_streams.errors import InvalidJSON
from sync_streams.operations.data import JSONObject, read_json

MAX_ID_LENGTH = 128
"""Maximum characters of a frame id; those of the SDKs have 38."""

EVENT_TYPE = "twilio.sync.event"
"""The only ``message_type`` that SDKs accept for events of Streams."""

_NOTIFICATION = (
    b'{"method":"notification","id":"%b","notification_ctx_id":"","message_type":"'
    + EVENT_TYPE.encode()
    + b'","payload_size":%d,"payload_type":"application/json"}'
)

_ANSWER = (
    b'{"method":"reply","id":%b,"status":{"code":200,"status":"OK"},'
    b'"http_status":{"code":%d,"status":"%b"},"payload_size":%d%b}'
)
_PAYLOAD_TYPE = b',"payload_type":"application/json"'

_START = re.compile(rb"TWILSOCK V3\.0 ([1-9][0-9]{0,5})\r\n")
# The header as the JavaScript SDKs write it: id first, then method.
_ACK = re.compile(
    rb"TWILSOCK V3\.0 [1-9][0-9]{0,5}\r\n"
    rb'\{"id":"([0-9A-Za-z_-]{1,128})","method":"reply",'
)


class FrameError(Exception):
    """The bytes are not a Twilsock frame; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame as received from a client."""

    method: str
    """What the client wants: ``init``, ``update``, ``message``, ``reply``, …"""

    id: str
    """The client's id for the frame, repeated in the reply."""

    header: JSONObject = field(repr=False)
    """The whole header."""

    payload: bytes = field(default=b"", repr=False)
    """Exactly ``payload_size`` bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Outcome of a frame, or of the request tunnelled in it."""

    code: int
    """As in HTTP."""

    text: str = ""
    """Name of the outcome; by default HTTP's name for the code."""

    description: str = ""
    """Explanation for people, shown by the SDK."""

    error_code: int = 0
    """Code in Twilio's error dictionary; 0 for none."""

    def to_json(self) -> JSONObject:
        """Return the status as it appears in a header."""
        status: JSONObject = {
            "code": self.code,
            "status": self.text or HTTPStatus(self.code).name,
        }
        if self.description:
            status["description"] = self.description
        if self.error_code:
            status["errorCode"] = self.error_code
        return status


OK = Status(code=200)


def decode(data: bytes) -> Frame:
    """Decode the single frame in *data*.

    Raises:
        FrameError: *data* is not exactly one frame.
    """
    start = _START.match(data)
    if start is None:
        raise FrameError("No TWILSOCK V3.0 header")
    end = start.end() + int(start[1])
    if data[end : end + 2] != b"\r\n":
        raise FrameError("Header size does not match")
    try:
        header = read_json(data[start.end() : end])
    except InvalidJSON as error:
        raise FrameError("Header is not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("Header is not an object")
    method, frame_id = _name(header, "method"), _name(header, "id")
    payload, size = data[end + 2 :], header.get("payload_size", 0)
    if type(size) is not int or not 0 <= size <= len(payload):
        raise FrameError("Payload size does not match")
    return Frame(method=method, id=frame_id, header=header, payload=payload[:size])


def ack_id(data: bytes) -> str | None:
    """Return the id that *data* acknowledges, without parsing its JSON.

    Clients acknowledge every notification, which makes this the most frequent frame.

    Returns:
        None if the frame has to be decoded with :func:`decode`.
    """
    ack = _ACK.match(data)
    return None if ack is None else ack[1].decode()


def encode(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """Write one frame, adding ``payload_size`` and, with a payload, its type."""
    fields = {**header, "payload_size": len(payload)}
    if payload:
        fields["payload_type"] = "application/json"
    return _frame(to_json(fields), payload)


def _frame(header: bytes, payload: bytes) -> bytes:
    tail = payload + b"\r\n" if payload else b""
    return b"TWILSOCK V3.0 %d\r\n%b\r\n%b" % (len(header), header, tail)


def reply(
    frame_id: str,
    status: Status = OK,
    *,
    fields: Mapping[str, Any] | None = None,
    payload: bytes = b"",
) -> bytes:
    """Write the reply to a client's frame.

    Args:
        frame_id: the id of the client's frame.
        status: whether the frame could be handled.
        fields: further fields of the header.
        payload: JSON.
    """
    header = {"method": "reply", "id": frame_id, "status": status.to_json()}
    return encode({**header, **(fields or {})}, payload)


def answer(frame_id: str, code: int, payload: bytes) -> bytes:
    """Write the reply to a tunnelled request; its frame's own status is OK.

    Each publish costs one, so the header is not composed each time.

    Args:
        frame_id: the id of the client's frame.
        code: the request's outcome, as in HTTP.
        payload: JSON, if any.
    """
    name, kind = HTTPStatus(code).name.encode(), _PAYLOAD_TYPE if payload else b""
    frame_id = json.dumps(frame_id)
    header = _ANSWER % (frame_id.encode(), code, name, len(payload), kind)
    return _frame(header, payload)


def notification(frame_id: str, payload: bytes) -> bytes:
    """Write a frame that carries events (:mod:`sync_streams.twilsock.events`).

    Each Message costs one, so the header is not composed each time.
    """
    return _frame(_NOTIFICATION % (frame_id.encode(), len(payload)), payload)


def client_update(frame_id: str, update_type: str) -> bytes:
    """Write the frame that informs the client of its connection's state."""
    header = {"method": "client_update", "id": frame_id}
    return encode({**header, "client_update_type": update_type})


def close(frame_id: str, status: Status, *, payload: bytes = b"") -> bytes:
    """Write the frame that announces that the connection will close."""
    header = {"method": "close", "id": frame_id, "status": status.to_json()}
    return encode(header, payload)


def ping(frame_id: str) -> bytes:
    """Write the frame that checks whether the client is still there."""
    return encode({"method": "ping", "id": frame_id})


def backoff(min_seconds: float, max_seconds: float) -> bytes:
    """Write the payload that asks the client to wait before it reconnects."""
    bounds = {
        "reconnect_min_ms": round(min_seconds * 1000),
        "reconnect_max_ms": round(max_seconds * 1000),
    }
    return to_json({"backoff_policy": bounds})


def to_json(fields: Mapping[str, Any]) -> bytes:
    """Write compact JSON in ASCII, so that even a lone surrogate can be repeated."""
    return json.dumps(fields, separators=(",", ":")).encode()


def _name(header: JSONObject, field: str) -> str:
    name = header.get(field)
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_ID_LENGTH:
        raise FrameError(f"Header has no {field}")
    return name
