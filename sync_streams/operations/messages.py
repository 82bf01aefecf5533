"""Publishing Messages.

See https://www.twilio.com/docs/sync/api/stream-message-resource.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias

from sync_streams.cache.lookups import cached_stream
from sync_streams.delivery.cluster.broadcast import (
    abroadcast_message,
    broadcast_message,
    group_at_hand,
    start_broadcast,
)
from sync_streams.delivery.counters import (
    counters,
    published_by_service,
    published_rates,
)
from sync_streams.delivery.events import Event
from sync_streams.delivery.meters import meters
from sync_streams.delivery.tracing import publishing, tracing
from sync_streams.errors import SyncError
from sync_streams.models import Service, Stream
from sync_streams.signals import message_published

from .actor import SYSTEM_ACTOR, Actor
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
        ServiceUnavailable: 20503, nobody was told, unless the connection to Redis
            failed after the Message was sent.

    See https://www.twilio.com/docs/sync/api/stream-message-resource.
    """
    with _Measured(actor) as measured:
        check_may_change(actor)
        measured.stream = stream = find_stream(service, stream_ref)
        authorize(actor, "publish", stream)
        message = Message.new(stream.sid, data)
        if before_broadcast is not None:
            before_broadcast()
        broadcast_message(_event(message, actor))
        message_published.send_robust(Stream, **_facts(stream, message, actor))
    return message


async def apublish(
    service: Service, stream_ref: str, data: object, *, actor: Actor = SYSTEM_ACTOR
) -> Message:
    """Async version of :func:`publish`, which usually needs no thread."""
    with _Measured(actor) as measured:
        check_may_change(actor)
        measured.stream = stream = await afind_stream(service, stream_ref)
        await aauthorize(actor, "publish", stream)
        message = Message.new(stream.sid, data)
        await abroadcast_message(_event(message, actor))
        # Receivers are usually synchronous: start a thread only if there are any.
        if message_published.has_listeners(Stream):
            await message_published.asend_robust(
                Stream, **_facts(stream, message, actor)
            )
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
    # A receiver takes its time; a trace's current span belongs to a task.
    is_watched = message_published.has_listeners(Stream) or tracing.tracer()
    if actor.is_read_only or is_asked(actor) or is_watched:
        return False
    stream = cached_stream(service.sid, stream_ref)
    if stream is None:
        return False
    group, started = group_at_hand(stream.sid), time.perf_counter()
    if group is None:
        return False
    try:
        message = Message.new(stream.sid, data, is_read=True)
    except SyncError as error:
        _note_outcome(actor, started, stream, error)
        raise

    def told(error: Exception | None) -> None:
        _note_outcome(actor, started, stream, error)
        tell(message, error)

    start_broadcast(group, _event(message, actor), told)
    return True


class _Measured:
    """Traces a publish, times it, and counts its outcome."""

    __slots__ = ("_actor", "_span", "_started", "stream")

    def __init__(self, actor: Actor) -> None:
        self.stream: Stream | None = None
        """The Stream, as soon as it is found."""
        self._actor, self._started = actor, time.perf_counter()
        self._span = publishing(actor.transport)

    def __enter__(self) -> "_Measured":
        self._span.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _note_outcome(self._actor, self._started, self.stream, error)
        self._span.__exit__(None, error, None)


def _event(message: Message, actor: Actor) -> Event:
    return {
        "type": "message.published",
        "stream_sid": message.stream_sid,
        "message_sid": message.sid,
        "text": message.text,
        "origin": actor.connection_id,
        "at": time.time(),
    }


def _facts(stream: Stream, message: Message, actor: Actor) -> dict[str, object]:
    """Return what receivers of the signal are told."""
    who = {"identity": actor.identity, "actor": actor}
    return {"stream": stream, "message": message, **who}


def _note_outcome(
    actor: Actor, started: float, stream: Stream | None, error: BaseException | None
) -> None:
    outcome = "published"
    if error is not None:
        outcome = str(error.code) if isinstance(error, SyncError) else "failed"
    elif stream is not None:
        counters.published += 1
        published_rates.note(stream.sid)
        published_by_service.note(stream.service_id)
    meters.count("publishes", actor.transport, outcome)
    meters.observe("publish_seconds", time.perf_counter() - started)
