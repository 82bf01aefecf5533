"""Message: a JSON object of at most 4 KiB that is published and never stored.

Data is strict JSON (RFC 8259), encoded here once and sent as this compact text.
See https://www.twilio.com/docs/sync/api/stream-message-resource.
"""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from sync_streams.errors import DataTooLarge, InvalidJSON, InvalidMessageData
from sync_streams.values.sids import new_sid

JSONObject = dict[str, Any]

MAX_DATA_BYTES = 4096
MAX_DEPTH = 64
MAX_TEXT_BYTES = 65_536
"""Data as sent, before compact encoding; far more than 4,096 bytes need."""


MAX_DOUBLE_DIGITS = 308
"""An integer of at most this many digits always fits the range of a double."""


@dataclass(frozen=True, slots=True)
class Message:
    """One Message on its way from a publisher to the subscribers of a Stream."""

    sid: str
    """SID, ``TZ…``."""

    stream_sid: str
    """SID of the Stream."""

    data: JSONObject
    """The data as subscribers receive it: tuples have become lists."""

    text: str
    """The data as compact JSON text, which is sent to every subscriber."""

    @classmethod
    def new(cls, stream_sid: str, data: object, *, is_read: bool = False) -> "Message":
        """Validate *data* and return a Message of the Stream.

        Args:
            stream_sid: SID of the Stream.
            data: a JSON object.
            is_read: it comes from :func:`read_data` or :func:`read_json`, and nobody
                changes it any more; anything else is copied.

        Raises:
            InvalidMessageData: 54251, there is no data.
            InvalidJSON: 54008, the data is not a strict JSON object, contains a number
                out of a double's range or a key that is not text, or is nested deeper
                than 64 levels.
            DataTooLarge: 54006, more than 4,096 bytes of compact UTF-8 JSON.
        """
        if data is None:
            raise InvalidMessageData
        if not isinstance(data, dict):
            raise InvalidJSON
        try:
            text = _ENCODER.encode(data)
            size = len(text.encode())  # a lone surrogate fails here, before subscribers
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidJSON from error
        # First, since newer Pythons parse what is nested too deeply for older ones.
        if text.count("{") + text.count("[") > MAX_DEPTH and _is_too_deep(data):
            raise InvalidJSON
        if size > MAX_DATA_BYTES:
            raise DataTooLarge
        received = data if is_read else _as_received(text, data)
        return cls(new_sid("TZ"), stream_sid, received, text)


def read_data(text: str) -> object:
    """Parse the JSON *text* of a Message's data, as sent by REST clients.

    Raises:
        DataTooLarge: 54006, the text alone exceeds 64 KiB.
        InvalidJSON: 54008, the text is not strict JSON.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise DataTooLarge
    return read_json(text)


def read_json(text: str | bytes) -> Any:
    """Parse strict JSON: no ``NaN``, no ``Infinity``, no number out of range.

    Raises:
        InvalidJSON: 54008, the text is anything else.
    """
    try:
        text = text if isinstance(text, str) else text.decode()
        decoder = _DECODER if len(text) > MAX_DOUBLE_DIGITS else _DECODER_OF_SHORT
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidJSON from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(digits)
    return number


def _bounded(digits: str) -> int:
    if len(digits) > MAX_DOUBLE_DIGITS:
        _finite(digits)
    return int(digits)


_DECODER_OF_SHORT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
"""For texts without integers out of range, so it needs no call for each integer."""

_DECODER = json.JSONDecoder(
    parse_constant=_refuse, parse_float=_finite, parse_int=_bounded
)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


def _as_received(text: str, data: JSONObject) -> JSONObject:
    # A publisher's object may have types that JSON lacks, and may change later.
    received: JSONObject = read_json(text)
    if received != data and not _has_text_keys(data):
        raise InvalidJSON
    return received


def _has_text_keys(node: Any) -> bool:
    # Python encodes the keys 1 and "1" identically, so subscribers would see only one.
    if isinstance(node, dict) and not all(isinstance(key, str) for key in node):
        return False
    return all(map(_has_text_keys, _children(node)))


def _is_too_deep(data: JSONObject) -> bool:
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
    return bool(level)


def _children(node: Any) -> list[Any]:
    nodes = node.values() if isinstance(node, dict) else node
    return [child for child in nodes if isinstance(child, (dict, list, tuple))]
