"""Events on the channel layer: their fields and groups."""

from typing import Any, Final, Literal, NotRequired, TypedDict, TypeGuard

from sync_streams.conf import get_settings

from .sequence import Sequence

MESSAGE: Final = "message.published"
PROBE: Final = "probe"
ANSWER: Final = "survey.answer"
JOINED: Final = "group.joined"
"""Proves, by its arrival, that the Stream's events reach a process that has joined."""

FORMAT: Final = 1
"""Version of the event format. A later release puts a higher number into the ``format``
of events that this one would misunderstand; they are rejected and reported as a gap."""

STREAM_EVENTS = frozenset({"stream.removed", "stream.updated"})
"""Events that tell every process of a change to a Stream itself."""


class Event(TypedDict):
    """An event about a Stream; ``type`` names the hub's handler."""

    type: Literal["message.published", "stream.removed", "stream.updated"]
    stream_sid: str
    format: NotRequired[int]
    """At most :data:`FORMAT`; without it, 1."""

    origin: NotRequired[str | None]
    """Id of the connection that caused the event, if one did."""

    message_sid: NotRequired[str]
    text: NotRequired[str]
    """The Message's data as JSON text, ready to send."""

    at: NotRequired[float]
    """When it was published, in seconds since 1970."""

    traceparent: NotRequired[str]
    tracestate: NotRequired[str]
    """The trace context of its publisher, if that records traces."""

    sequence: NotRequired[Sequence]
    """The Message's number, on a layer that may lose it silently."""

    expires_at: NotRequired[float | None]
    """When the Stream expires, in seconds since 1970; ``None``: never."""


class ServiceEvent(TypedDict):
    """A Service was changed or removed."""

    type: Literal["service.changed"]
    service_sid: str


_TEXTS = {
    MESSAGE: ("stream_sid", "message_sid", "text"),
    "stream.removed": ("stream_sid",),
    "stream.updated": ("stream_sid",),
    "service.changed": ("service_sid",),
    ANSWER: ("process",),
    JOINED: ("stream_sid",),
}
"""Required text fields, by type. Unlisted types belong to other parts, or to another
version."""


def is_readable(event: object) -> TypeGuard[dict[str, Any]]:
    """Return whether an object from the layer has the form of an event."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return False
    form = event.get("format", 1)
    if not isinstance(form, int) or form > FORMAT:
        return False
    if event["type"] == PROBE and not isinstance(event.get("server"), int):
        return False
    for name in _TEXTS.get(event["type"], ()):
        if not isinstance(event.get(name), str):
            return False
    return True


def stream_group(stream_sid: str) -> str:
    """Return the group of the processes with subscribers to a Stream."""
    return f"{get_settings().prefix}.stream.{stream_sid}"


def process_group() -> str:
    """Return the group of all receiving processes."""
    return f"{get_settings().prefix}.processes"


def probe_group(token: str) -> str:
    """Return a group for a single process, named by a token."""
    return f"{get_settings().prefix}.probe.{token}"
