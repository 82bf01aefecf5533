"""Announcements: tell subscribers and signal receivers about committed changes."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from django.core.exceptions import ImproperlyConfigured
from django.dispatch import Signal

from sync_streams import signals
from sync_streams.cache.lookups import forget_all, forget_stream
from sync_streams.delivery.cluster.broadcast import broadcast
from sync_streams.delivery.events import Event, ServiceEvent
from sync_streams.errors import ServiceUnavailable
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.databases import on_commit

logger = logging.getLogger(__name__)

MAX_FAILURES = 2
"""Broadcasts in a row that may fail while many removals are announced. Each may take
``broadcast_timeout_seconds``, and all go to the same group, so more would fail, too."""

EndpointChange = Literal["connected", "disconnected"]

endpoint_listeners: list[Callable[[EndpointChange, Service, Actor], None]] = []
"""Called on the event loop for each connection that begins or ends. They are not
receivers of a signal, since asynchronous ones could not be awaited there."""


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


def announce_all_removed(streams: Iterable[Stream], actor: Actor) -> None:
    """Announce the removal of Streams, once it is committed.

    Subscribers are told unless the layer fails, and receivers in any case.
    """
    on_commit(partial(_announce_all_removed, list(streams), actor))


def _announce_all_removed(streams: Sequence[Stream], actor: Actor) -> None:
    failures = untold = 0
    for stream in streams:
        forget_stream(stream.sid)
        if failures >= MAX_FAILURES:
            untold += 1
        elif _broadcast_removal(stream, actor):
            failures = 0
        else:
            failures += 1
        _send(signals.stream_removed, stream, actor)
    if untold:
        logger.error("stream.removed of %s more Streams was not broadcast", untold)


def _broadcast_removal(stream: Stream, actor: Actor) -> bool:
    return _broadcast(
        {
            "type": "stream.removed",
            "stream_sid": stream.sid,
            "origin": actor.connection_id,
        },
    )


def _broadcast(event: Event | ServiceEvent) -> bool:
    try:
        broadcast(event)
    except (ServiceUnavailable, ImproperlyConfigured) as error:
        # The change is committed; a 503 would claim otherwise.
        logger.error("%s was not broadcast (%s): %s", event["type"], error, event)
        return False
    return True


def _send(signal: Signal, stream: Stream, actor: Actor) -> None:
    signal.send_robust(Stream, stream=stream, identity=actor.identity, actor=actor)
