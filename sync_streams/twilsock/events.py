"""Payloads of the notifications that ``twilio-sync`` SDKs understand; no I/O.

An event is written for one version of the event protocol: 4, in which a notification
holds a list of ``events``, or 3 (SDK 3.0 and older), in which it holds one ``event``.
See ``docs/wire-twilsock.md``.
"""

from sync_streams.delivery.events import Event
from sync_streams.operations.data import JSONObject

from .frames import to_json

NEWEST_VERSION = 4
OLDEST_VERSION = 3


def messages_published(version: int, *messages: Event) -> bytes:
    """Write the event of one or more Messages, whose data is already JSON text.

    Version 3 allows only one.
    """
    texts = [
        f'{{"stream_sid":"{message["stream_sid"]}",'
        f'"message_sid":"{message["message_sid"]}","message_data":{message["text"]}}}'
        for message in messages
    ]
    return _MESSAGES[version] % ",".join(texts).encode()


def stream_removed(version: int, event: Event) -> bytes:
    """Write the event of a removed Stream."""
    stream = f'{{"stream_sid":"{event["stream_sid"]}"}}'
    return _join("stream_removed", version, stream)


def subscription_changed(
    event_type: str, events: list[JSONObject], *, version: int, correlation_id: int
) -> list[bytes]:
    """Write the outcome of the subscription requests that share a correlation id.

    Args:
        event_type: ``subscription_established``, ``…_canceled`` or ``…_failed``.
        events: one for each Stream.
        version: of the event protocol.
        correlation_id: the number that the client sent, repeated unchanged.

    Returns:
        One payload; in version 3, one for each event.
    """
    texts = [_text(event) for event in events]
    if events and version >= NEWEST_VERSION:
        texts = [",".join(texts)]
    return [
        _join(event_type, version, text, correlation_id=correlation_id)
        for text in texts
    ]


def _join(event_type: str, version: int, events: str, **fields: int) -> bytes:
    head = f'{{"event_type":"{event_type}","event_protocol_version":{version}'
    for name, number in fields.items():
        head += f',"{name}":{number}'
    tail = f'"events":[{events}]' if version >= NEWEST_VERSION else f'"event":{events}'
    return f"{head},{tail}}}".encode()


def _text(value: JSONObject) -> str:
    return to_json(value).decode()


_MESSAGES = {
    version: _join("stream_message_published", version, "%b")
    for version in (OLDEST_VERSION, NEWEST_VERSION)
}
"""By version, composed once: each Message costs one."""
