"""Events on the channel layer: their shapes and their groups."""

from typing import Final, Literal, NotRequired, TypedDict

MESSAGE: Final = "message.published"

PROCESS_GROUP = "sync_streams.processes"
"""Group of every process that holds sockets."""


class Event(TypedDict):
    """What travels through the layer; ``type`` names the hub's handler."""

    type: Literal["message.published", "stream.removed", "stream.updated"]
    stream_sid: str
    origin: NotRequired[str | None]
    """Id of the connection that caused the event, if one did."""

    message_sid: NotRequired[str]
    text: NotRequired[str]
    """The Message's data as finished JSON text."""

    expires_at: NotRequired[float | None]
    """When the Stream lapses, in seconds since 1970; ``None``: never."""


class ServiceEvent(TypedDict):
    """A Service has changed or is gone."""

    type: Literal["service.changed"]
    service_sid: str


def stream_group(stream_sid: str) -> str:
    """Return the group of the processes that hold a Stream's subscribers."""
    return f"sync_streams.stream.{stream_sid}"
