"""Operations on Streams: see https://www.twilio.com/docs/sync/api/stream-resource."""

from datetime import datetime
from functools import partial

from django.db import IntegrityError

from sync_streams.cache.lookups import look_up_stream
from sync_streams.delivery.cluster.placement import new_sid_of_name
from sync_streams.delivery.cluster.stats import ask
from sync_streams.errors import (
    AccessForbidden,
    ServiceNotFound,
    StreamNotFound,
    UniqueNameNotFound,
    UniqueNameTaken,
)
from sync_streams.models import Service, Stream, StreamQuerySet
from sync_streams.operations.databases import (
    atomic,
    first,
    on_commit,
    reading,
    written_alias,
)
from sync_streams.values import utc
from sync_streams.values.sids import is_sid, new_stream_sid

from .actor import EXPIRY_ACTOR, SYSTEM_ACTOR, Actor
from .announcements import announce_all_removed, announce_created, announce_updated
from .permissions import authorize, authorize_creation, check_may_change
from .quotas import check_streams
from .services import get_service
from .validators import check_unique_name, expiry, is_storable

EXPIRY_BATCH = 500
"""Expired Streams removed in one transaction."""


def create_stream(
    service: Service,
    *,
    unique_name: str | None = None,
    ttl: int | None = None,
    actor: Actor = SYSTEM_ACTOR,
) -> Stream:
    """Create a Stream.

    Args:
        service: the Service it belongs to.
        unique_name: 1 to 320 visible characters that do not look like a SID and
            survive in a URL; ``None``: identified by its SID only.
        ttl: seconds until it expires, 0 to 31,536,000; 0 or ``None``: never.
        actor: who creates it.

    Raises:
        InvalidUniqueName: 54302.
        InvalidTtl: 54011.
        UniqueNameTaken: 54301, another live Stream has the name.
        AccessForbidden: 54007.
        ServiceNotFound: 54050, the Service was removed meanwhile.
        QuotaExceeded: 20403, the account has ``max_streams_per_account``.

    See https://www.twilio.com/docs/sync/api/stream-resource.
    """
    check_may_change(actor)
    check_unique_name(unique_name)
    if not actor.is_trusted:
        # A connection's copy of its Service dates from when the connection began.
        service = get_service(service.account_sid, service.sid)
        authorize_creation(actor, service, unique_name)
    now = utc.now()
    stream = Stream(
        sid=_new_sid(service, unique_name),
        account_sid=service.account_sid,
        service=service,
        unique_name=unique_name,
        date_expires=expiry(ttl, now),
        date_created=now,
        date_updated=now,
        created_by=actor.identity,
    )
    try:
        with atomic():
            _remove_expired(Stream.objects.filter(service=service).by_name(unique_name))
            stream.save(force_insert=True, using=written_alias())
            check_streams(service.account_sid)
            on_commit(partial(announce_created, stream, actor))
    except IntegrityError as error:
        services = Service.objects.using(written_alias())
        is_service_there = services.filter(sid=service.sid).exists()
        raise (UniqueNameTaken if is_service_there else ServiceNotFound) from error
    return stream


def get_stream(service: Service, ref: str) -> Stream:
    """Return the Service's live Stream.

    Raises:
        StreamNotFound: 54250, no live Stream has that SID.
        UniqueNameNotFound: 54300, no live Stream has that unique name.
    """
    stream = None
    if is_storable(ref):
        streams = list_streams(service).select_related("service")
        stream = first(streams.by_ref(ref))
    if stream is None:
        raise _not_found(ref)
    return stream


def open_stream(service: Service, ref: str, *, actor: Actor = SYSTEM_ACTOR) -> Stream:
    """Return the live Stream, if the actor may subscribe or publish to it.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    stream = get_stream(service, ref)
    try:
        authorize(actor, "subscribe", stream)
    except AccessForbidden:
        authorize(actor, "publish", stream)
    return stream


def obtain_stream(
    service: Service, unique_name: str, *, actor: Actor = SYSTEM_ACTOR
) -> Stream:
    """Return the live Stream with that unique name, creating it if there is none.

    Raises:
        SyncError: as :func:`create_stream`, except 54301.
    """
    try:
        return create_stream(service, unique_name=unique_name, actor=actor)
    except UniqueNameTaken:
        # It existed, or another caller has just created it.
        return get_stream(service, unique_name)


def find_stream(service: Service, ref: str) -> Stream:
    """Return the Service's live Stream, possibly from the cache.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
    """
    return look_up_stream(service.sid, ref, partial(get_stream, service, ref))


def list_streams(service: Service) -> StreamQuerySet:
    """Return the Service's live Streams, oldest first."""
    return Stream.objects.live().filter(service=service)


def update_stream(
    service: Service, ref: str, *, ttl: int | None = None, actor: Actor = SYSTEM_ACTOR
) -> Stream:
    """Set a Stream's TTL, counted from now; without a TTL it is unchanged.

    Raises:
        InvalidTtl: 54011, ``ttl`` is not 0 (never expires) to 31,536,000 seconds.
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    stream = _get_changeable(service, ref, actor)
    if ttl is None:
        return stream
    stream.date_updated = utc.now()
    stream.date_expires = expiry(ttl, stream.date_updated)
    with atomic():
        changed = Stream.objects.filter(sid=stream.sid).update(
            date_expires=stream.date_expires, date_updated=stream.date_updated
        )
        if not changed:
            raise _not_found(ref)
        on_commit(partial(announce_updated, stream, actor))
    return stream


def remove_stream(service: Service, ref: str, *, actor: Actor = SYSTEM_ACTOR) -> None:
    """Remove a Stream; its subscribers are told, once.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    stream = _get_changeable(service, ref, actor)
    with atomic():
        removed, _ = Stream.objects.filter(sid=stream.sid).delete()
        if not removed:
            raise _not_found(ref)
        announce_all_removed([stream], actor)


def expire_streams(now: datetime | None = None) -> int:
    """Remove all expired Streams, in batches, and return their number.

    Any number of processes may do this at once: each Stream is removed, and its removal
    announced, by only one of them.
    """
    total = 0
    # Usually there are none, and checking takes no lock.
    while _has_expired(now):
        with atomic():
            removed = _remove_expired(Stream.objects.all(), now)
        if not removed:
            break  # another process removed them meanwhile
        total += removed
    return total


def occupancy(stream: Stream) -> int:
    """Return the number of connections subscribed to a Stream, over all processes.

    Asks every process, which takes a quarter of a second.
    """
    return ask([stream.sid]).subscribers.get(stream.sid, 0)


def _new_sid(service: Service, unique_name: str | None) -> str:
    if unique_name is None:
        return new_stream_sid()
    return new_sid_of_name(service.sid, unique_name)


def _get_changeable(service: Service, ref: str, actor: Actor) -> Stream:
    check_may_change(actor)
    stream = get_stream(service, ref)
    authorize(actor, "remove", stream)
    return stream


def _has_expired(now: datetime | None) -> bool:
    with reading():
        return Stream.objects.expired(now).exists()


def _not_found(ref: str) -> StreamNotFound | UniqueNameNotFound:
    return StreamNotFound() if is_sid(ref) else UniqueNameNotFound()


def _remove_expired(streams: StreamQuerySet, now: datetime | None = None) -> int:
    # The lock ensures that only one sweeper removes a row. Databases without row locks
    # (SQLite) serialise their writers anyway.
    locked = streams.expired(now).select_for_update()
    expired = list(locked.prefetch_related("service")[:EXPIRY_BATCH])
    if expired:
        Stream.objects.filter(sid__in=[stream.sid for stream in expired]).delete()
        announce_all_removed(expired, EXPIRY_ACTOR)
    return len(expired)
