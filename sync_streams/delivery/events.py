"""Events on the channel layer: their shapes and their groups."""

from typing import Any, Final, Literal, NotRequired, TypedDict, TypeGuard

from sync_streams.conf import get_settings

MESSAGE: Final = "message.published"
PROBE: Final = "probe"

STREAM_EVENTS = frozenset({"stream.removed", "stream.updated"})
"""Events that tell every process that something happened to a Stream itself."""


class Event(TypedDict):
    """What travels through the layer; ``type`` names the hub's handler."""

    type: Literal["message.published", "stream.removed", "stream.updated"]
    stream_sid: str
    origin: NotRequired[str | None]
    """Id of the connection that caused the event, if one did."""

    message_sid: NotRequired[str]
    text: NotRequired[str]
    """The Message's data as finished JSON text."""

    at: NotRequired[float]
    """When it was published, in seconds since 1970."""

    expires_at: NotRequired[float | None]
    """When the Stream expires, in seconds since 1970; ``None``: never."""


class ServiceEvent(TypedDict):
    """A Service has changed or is gone."""

    type: Literal["service.changed"]
    service_sid: str


_TEXTS = {
    MESSAGE: ("stream_sid", "message_sid", "text"),
    "stream.removed": ("stream_sid",),
    "stream.updated": ("stream_sid",),
    "service.changed": ("service_sid",),
}
"""Fields that must be there, as text. Types that are not listed are another part's, or
another version's."""


def is_readable(event: object) -> TypeGuard[dict[str, Any]]:
    """Return whether what came from the layer has the shape of an event."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return False
    texts = _TEXTS.get(event["type"], ())
    return all(isinstance(event.get(name), str) for name in texts)


def stream_group(stream_sid: str) -> str:
    """Return the group of the processes that hold a Stream's subscribers."""
    return f"{get_settings().prefix}.stream.{stream_sid}"


def process_group() -> str:
    """Return the group of every process that holds sockets."""
    return f"{get_settings().prefix}.processes"


def probe_group(token: str) -> str:
    """Return a group of one process, by whatever names it."""
    return f"{get_settings().prefix}.probe.{token}"
