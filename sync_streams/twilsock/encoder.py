"""What delivery sends to Twilsock connections, written once for all of them.

The connection that publishes or removes is left out: the SDK tells its own
application. See ``docs/wire-twilsock.md``.
"""

from secrets import token_hex

from sync_streams.delivery.broadcast import Event
from sync_streams.delivery.frames import Frame

from . import events, frames


def new_frame_id() -> str:
    """Return an id for a frame of the server's own."""
    return f"TM{token_hex(16)}"


def notification(payload: bytes, frame_id: str = "") -> Frame:
    """Wrap events into a frame, which the client acknowledges like all but replies."""
    data = frames.notification(frame_id or new_frame_id(), payload)
    return Frame(data, is_acknowledged=True)


class TwilsockEncoder:
    """Writes what happens to Streams, in one version of the event protocol."""

    skips_origin = True

    def __init__(self, version: int) -> None:
        self._version = version

    def message_published(self, event: Event) -> Frame:
        """Write a Message; its SID is the frame's id, too."""
        payload = events.message_published(self._version, event)
        return Frame(
            frames.notification(event["message_sid"], payload),
            stream_sid=event["stream_sid"],
            is_acknowledged=True,
        )

    def stream_removed(self, event: Event) -> Frame:
        """Write that a Stream is gone."""
        return notification(events.stream_removed(self._version, event))

    def gap(self, stream_sid: str, dropped: int) -> None:
        """Say nothing: the SDK has no word for dropped Messages."""

    def ping(self) -> Frame:
        """Write a ping, which the client acknowledges."""
        return Frame(frames.ping(new_frame_id()), is_acknowledged=True)


ENCODERS = {
    version: TwilsockEncoder(version)
    for version in (events.OLDEST_VERSION, events.NEWEST_VERSION)
}
"""By version: delivery writes each Message once for each encoder in use."""
