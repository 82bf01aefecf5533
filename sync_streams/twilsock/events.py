"""Payloads of the notifications that ``twilio-sync`` SDKs understand; no I/O.

An event is written for one version of the event protocol: 4, where a notification
holds a list of ``events``, or 3 (SDK 3.0 and older), where it holds one ``event``.
See ``docs/wire-twilsock.md``.
"""

from typing import Any

from sync_streams.messages import JSONObject

from .frames import to_json

NEWEST_VERSION = 4
OLDEST_VERSION = 3


def message_published(
    version: int, stream_sid: str, message_sid: str, text: str
) -> bytes:
    """Write the event of a Message whose data is the compact JSON *text*."""
    return messages_published(version, [(stream_sid, message_sid, text)])


def messages_published(version: int, messages: list[tuple[str, str, str]]) -> bytes:
    """Write one event for several Messages: Stream's SID, Message's SID, data's text.

    In version 3 there must be exactly one.
    """
    events = ",".join(
        f'{{"stream_sid":"{stream_sid}","message_sid":"{message_sid}",'
        f'"message_data":{text}}}'
        for stream_sid, message_sid, text in messages
    )
    return _join("stream_message_published", version, events)


def stream_removed(version: int, stream_sid: str) -> bytes:
    """Write the event of a Stream that is gone."""
    return _join("stream_removed", version, f'{{"stream_sid":"{stream_sid}"}}')


def subscription_changed(
    event_type: str, version: int, correlation_id: Any, events: list[JSONObject]
) -> list[bytes]:
    """Write the outcome of the subscription requests that share a correlation id.

    Args:
        event_type: ``subscription_established``, ``…_canceled`` or ``…_failed``.
        version: of the event protocol.
        correlation_id: the number that the client sent, to be repeated as it is.
        events: one for each Stream.

    Returns:
        One payload, or one for each event in version 3.
    """
    head = {"correlation_id": correlation_id}
    texts = [_text(event) for event in events]
    if events and version >= NEWEST_VERSION:
        texts = [",".join(texts)]
    return [_join(event_type, version, text, **head) for text in texts]


def _join(event_type: str, version: int, events: str, **fields: Any) -> bytes:
    head = {"event_type": event_type, "event_protocol_version": version, **fields}
    tail = f'"events":[{events}]' if version >= NEWEST_VERSION else f'"event":{events}'
    return f"{_text(head)[:-1]},{tail}}}".encode()


def _text(value: JSONObject) -> str:
    return to_json(value).decode()
