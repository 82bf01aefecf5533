"""Announcements: what is told of a committed change, to subscribers and receivers."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from django.db import transaction
from django.dispatch import Signal

from . import signals
from .delivery.broadcast import Event, ServiceEvent, abroadcast, broadcast
from .errors import ServiceUnavailable
from .lookups import forget_services, forget_stream
from .messages import Message
from .models import SYSTEM, Service, Stream

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """Who did it, and over which connection."""

    identity: str = SYSTEM
    """Identity of the access token; ``system`` over REST."""

    connection_id: str | None = None
    """The socket connection, if there was one; the SDK front leaves it out."""

    is_read_only: bool = False
    """The access token lets it look and listen, nothing else."""

    is_expiry: bool = False
    """Whether nobody did it but time."""

    @property
    def is_trusted(self) -> bool:
        """Whether it was not the bearer of an access token, whatever its identity."""
        return self.connection_id is None


BY_SYSTEM = Cause()
BY_EXPIRY = Cause(is_expiry=True)

EndpointChange = Literal["connected", "disconnected"]

endpoint_listeners: list[Callable[[EndpointChange, Service, Cause], None]] = []
"""Called on the event loop with each connection that begins or ends. No signal, whose
asynchronous receivers could not be waited for there."""


webhook_trials: list[Callable[[Service, Cause], str | None]] = []
"""Each sends a Service's webhook at once and returns why that failed, if it did."""


def announce_trial(service: Service, cause: Cause) -> list[str]:
    """Let whoever sends webhooks send one now; return why it failed, if it did."""
    failures = (trial(service, cause) for trial in webhook_trials)
    return [failure for failure in failures if failure is not None]


def announce_endpoint(change: EndpointChange, service: Service, cause: Cause) -> None:
    """Tell listeners of a connection that now speaks for an identity, or no more."""
    for listener in endpoint_listeners:
        listener(change, service, cause)


def announce_service(service: Service) -> None:
    """Tell every process that a Service has changed or is gone."""
    forget_services()
    _broadcast({"type": "service.changed", "service_sid": service.sid})


def announce_created(stream: Stream, cause: Cause) -> None:
    """Tell receivers of a new Stream; it cannot have subscribers yet."""
    _send(signals.stream_created, stream, cause)


def announce_updated(stream: Stream, cause: Cause) -> None:
    """Tell every process and all receivers that a Stream has another expiry."""
    expires = stream.date_expires
    forget_stream(stream.sid)
    _broadcast(
        {
            "type": "stream.updated",
            "stream_sid": stream.sid,
            "expires_at": expires.timestamp() if expires else None,
        },
    )
    _send(signals.stream_updated, stream, cause)


def announce_removed(stream: Stream, cause: Cause) -> None:
    """Tell subscribers and receivers that a Stream is gone."""
    forget_stream(stream.sid)
    _broadcast(
        {
            "type": "stream.removed",
            "stream_sid": stream.sid,
            "origin": cause.connection_id,
        },
    )
    _send(signals.stream_removed, stream, cause)


def announce_all_removed(streams: Iterable[Stream], cause: Cause) -> None:
    """Tell that Streams are gone, once the removal is committed."""
    for stream in streams:
        transaction.on_commit(partial(announce_removed, stream, cause))


def announce_message(stream: Stream, message: Message, cause: Cause) -> None:
    """Broadcast a Message.

    Raises:
        ServiceUnavailable: 20503, nobody was told.
    """
    broadcast(_published(stream, message, cause))
    signals.message_published.send_robust(
        Stream, stream=stream, message=message, identity=cause.identity, cause=cause
    )


async def aannounce_message(stream: Stream, message: Message, cause: Cause) -> None:
    """Do as :func:`announce_message` does, from async code."""
    await abroadcast(_published(stream, message, cause))
    # Receivers are synchronous as a rule, and a thread is paid only if there are any.
    if signals.message_published.has_listeners(Stream):
        await signals.message_published.asend_robust(
            Stream, stream=stream, message=message, identity=cause.identity, cause=cause
        )


def _published(stream: Stream, message: Message, cause: Cause) -> Event:
    return {
        "type": "message.published",
        "stream_sid": stream.sid,
        "message_sid": message.sid,
        "text": message.text,
        "origin": cause.connection_id,
    }


def _broadcast(event: Event | ServiceEvent) -> None:
    try:
        broadcast(event)
    except ServiceUnavailable:
        # The change is committed and stands; answering 503 would deny it.
        logger.error("%s was not broadcast: %s", event["type"], event)


def _send(signal: Signal, stream: Stream, cause: Cause) -> None:
    signal.send_robust(Stream, stream=stream, identity=cause.identity, cause=cause)
