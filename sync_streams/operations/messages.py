"""Publishing Messages.

See https://www.twilio.com/docs/sync/api/stream-message-resource.
"""

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import TypeAlias

from sync_streams.cache.lookups import cached_stream
from sync_streams.delivery.counters import count_published, counters
from sync_streams.delivery.meters import meters
from sync_streams.delivery.tracing import publishing
from sync_streams.errors import SyncError
from sync_streams.models import Service

from .actor import SYSTEM_ACTOR, Actor
from .announcements import (
    aannounce_message,
    announce_message,
    can_start_announcement,
    start_announcement,
)
from .data import Message
from .finding import afind_stream
from .permissions import aauthorize, authorize, check_may_change, is_asked
from .streams import find_stream

Tell: TypeAlias = Callable[[Message, Exception | None], None]
"""Called with a Message, and why it was not published, if so."""


def publish(
    service: Service,
    stream_ref: str,
    data: object,
    *,
    actor: Actor = SYSTEM_ACTOR,
    before_broadcast: Callable[[], object] | None = None,
) -> Message:
    """Publish *data* to a Stream's current subscribers, at most once to each.

    Args:
        service: the Stream's Service.
        stream_ref: SID (``TO…``) or unique name of the Stream.
        data: a JSON object of at most 4,096 bytes as compact UTF-8 JSON.
        actor: who publishes.
        before_broadcast: called when the database is no longer needed, and Redis is
            about to be waited for.

    Returns:
        The Message with its new SID (``TZ…``). It is not stored.

    Raises:
        StreamNotFound: 54250, no live Stream has that SID.
        UniqueNameNotFound: 54300, no live Stream has that unique name.
        InvalidMessageData: 54251, there is no data.
        InvalidJSON: 54008, the data is not a strict JSON object.
        DataTooLarge: 54006.
        RateLimited: 54009, over ``publish_rate`` (30 Messages a second).
        AccessForbidden: 54007.
        ServiceUnavailable: 20503, nobody was told; it may be tried again.

    See https://www.twilio.com/docs/sync/api/stream-message-resource.
    """
    with _Measured(actor):
        check_may_change(actor)
        stream = find_stream(service, stream_ref)
        authorize(actor, "publish", stream)
        message = Message.new(stream.sid, data)
        if before_broadcast is not None:
            before_broadcast()
        announce_message(stream, message, actor)
        count_published(stream.sid, stream.service_id)
    return message


async def apublish(
    service: Service, stream_ref: str, data: object, *, actor: Actor = SYSTEM_ACTOR
) -> Message:
    """Async version of :func:`publish`, which usually needs no thread."""
    with _Measured(actor):
        check_may_change(actor)
        stream = await afind_stream(service, stream_ref)
        await aauthorize(actor, "publish", stream)
        message = Message.new(stream.sid, data)
        await aannounce_message(stream, message, actor)
        count_published(stream.sid, stream.service_id)
    return message


def start_publish(
    service: Service,
    stream_ref: str,
    data: object,
    tell: Tell,
    *,
    actor: Actor = SYSTEM_ACTOR,
) -> bool:
    """Start to publish, on the event loop, if that is possible without waiting.

    Args:
        service: the Stream's Service.
        stream_ref: SID (``TO…``) or unique name of the Stream.
        data: as a transport has read it from JSON; it becomes the Message's.
        tell: called once with the outcome: before this returns, in memory, or when
            Redis has replied. It must not raise.
        actor: who publishes.

    Returns:
        Whether it has; if not, nothing was done: call :func:`apublish` instead.

    Raises:
        SyncError: as :func:`publish`; *tell* is not called.
    """
    check_may_change(actor)
    stream = cached_stream(service.sid, stream_ref)
    if stream is None or is_asked(actor) or not can_start_announcement(stream):
        return False
    measured = _Measured(actor)
    measured.begin()
    try:
        message = Message.new(stream.sid, data, is_read=True)
    except SyncError as error:
        measured.end(error)
        raise

    def told(error: Exception | None) -> None:
        measured.end(error)
        if error is None:
            count_published(stream.sid, stream.service_id)
        tell(message, error)

    start_announcement(stream, message, actor, told)
    return True


class _Measured:
    """Counts the outcome of a publish, times and traces it."""

    __slots__ = ("_span", "_started", "_transport")

    def __init__(self, actor: Actor) -> None:
        self._transport, self._started = actor.transport, perf_counter()
        self._span = publishing(actor.transport)

    def begin(self) -> None:
        """Begin the span."""
        self._span.__enter__()

    def end(self, error: BaseException | None) -> None:
        """Record the outcome, ``None`` or what went wrong."""
        if error is None:
            outcome = "published"
            counters.published += 1
        else:
            outcome = str(error.code) if isinstance(error, SyncError) else "failed"
        meters.count("publishes", self._transport, outcome)
        meters.observe("publish_seconds", perf_counter() - self._started)
        self._span.__exit__(None, error, None)

    def __enter__(self) -> None:
        self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error)
