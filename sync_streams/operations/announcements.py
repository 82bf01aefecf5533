"""Announcements: tell subscribers and signal receivers about committed changes."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from django.core.exceptions import ImproperlyConfigured
from django.dispatch import Signal

from sync_streams import signals
from sync_streams.cache.lookups import forget_all, forget_stream
from sync_streams.delivery.cluster.broadcast import (
    abroadcast_message,
    broadcast,
    broadcast_message,
    can_start_broadcast,
    start_broadcast,
)
from sync_streams.delivery.events import Event, ServiceEvent
from sync_streams.errors import ServiceUnavailable
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.databases import on_commit

from .data import Message

logger = logging.getLogger(__name__)


EndpointChange = Literal["connected", "disconnected"]

endpoint_listeners: list[Callable[[EndpointChange, Service, Actor], None]] = []
"""Called on the event loop for each connection that begins or ends. Not a signal, whose
asynchronous receivers could not be awaited there."""


webhook_trials: list[Callable[[Service, Actor], str | None]] = []
"""Each sends a test webhook immediately and returns why it failed, if it did."""


def announce_trial(service: Service, actor: Actor) -> list[str]:
    """Send a test webhook now and return the failures."""
    failures = (trial(service, actor) for trial in webhook_trials)
    return [failure for failure in failures if failure is not None]


def announce_endpoint(change: EndpointChange, service: Service, actor: Actor) -> None:
    """Tell listeners that an identity's connection was authenticated or has ended."""
    for listener in endpoint_listeners:
        listener(change, service, actor)


def announce_service(service: Service) -> None:
    """Tell every process that a Service was changed or removed."""
    forget_all()
    _broadcast({"type": "service.changed", "service_sid": service.sid})


def announce_created(stream: Stream, actor: Actor) -> None:
    """Tell receivers about a new Stream, which cannot have subscribers yet."""
    _send(signals.stream_created, stream, actor)


def announce_updated(stream: Stream, actor: Actor) -> None:
    """Tell every process and all receivers that a Stream's expiry changed."""
    expires = stream.date_expires
    forget_stream(stream.sid)
    _broadcast(
        {
            "type": "stream.updated",
            "stream_sid": stream.sid,
            "expires_at": expires.timestamp() if expires else None,
        },
    )
    _send(signals.stream_updated, stream, actor)


def announce_removed(stream: Stream, actor: Actor) -> None:
    """Tell subscribers and receivers that a Stream was removed."""
    forget_stream(stream.sid)
    _broadcast(
        {
            "type": "stream.removed",
            "stream_sid": stream.sid,
            "origin": actor.connection_id,
        },
    )
    _send(signals.stream_removed, stream, actor)


def announce_all_removed(streams: Iterable[Stream], actor: Actor) -> None:
    """Announce the removal of Streams, once it is committed."""
    for stream in streams:
        on_commit(partial(announce_removed, stream, actor))


def announce_message(stream: Stream, message: Message, actor: Actor) -> None:
    """Broadcast a Message, if its Stream's rate allows that.

    Raises:
        RateLimited: 54009, nobody was told.
        ServiceUnavailable: 20503, nobody was told, or the layer did not say so in time.
    """
    broadcast_message(_published(stream, message, actor))
    signals.message_published.send_robust(
        Stream, stream=stream, message=message, identity=actor.identity, actor=actor
    )


async def aannounce_message(stream: Stream, message: Message, actor: Actor) -> None:
    """Async version of :func:`announce_message`."""
    await abroadcast_message(_published(stream, message, actor))
    # Receivers are usually synchronous: start a thread only if there are any.
    if signals.message_published.has_listeners(Stream):
        await signals.message_published.asend_robust(
            Stream, stream=stream, message=message, identity=actor.identity, actor=actor
        )


def can_start_announcement(stream: Stream) -> bool:
    """Return whether a Message of the Stream can be announced without waiting."""
    has_listeners = signals.message_published.has_listeners(Stream)
    return not has_listeners and can_start_broadcast(stream.sid)


def start_announcement(
    stream: Stream,
    message: Message,
    actor: Actor,
    tell: Callable[[Exception | None], None],
) -> None:
    """Announce a Message without waiting, if :func:`can_start_announcement` allows it.

    Args:
        stream: the Stream.
        message: its Message.
        actor: who publishes.
        tell: called once with the outcome: ``None``, or what
            :func:`aannounce_message` raises.
    """
    start_broadcast(_published(stream, message, actor), tell)


def _published(stream: Stream, message: Message, actor: Actor) -> Event:
    return {
        "type": "message.published",
        "stream_sid": stream.sid,
        "message_sid": message.sid,
        "text": message.text,
        "origin": actor.connection_id,
        "at": time.time(),
    }


def _broadcast(event: Event | ServiceEvent) -> None:
    try:
        broadcast(event)
    except (ServiceUnavailable, ImproperlyConfigured) as error:
        # The change is committed; a 503 would claim otherwise.
        logger.error("%s was not broadcast (%s): %s", event["type"], error, event)


def _send(signal: Signal, stream: Stream, actor: Actor) -> None:
    signal.send_robust(Stream, stream=stream, identity=actor.identity, actor=actor)
