"""Operations on Services, Streams and Messages: the only place that decides.

Every adapter (REST, sockets, admin, commands) translates its input, calls one function
here and translates the result. The functions are synchronous and raise
:class:`~sync_streams.errors.SyncError`; :func:`apublish` is the one twin for async
code, because a Message over a socket may not cost a thread. Changes are announced once
they are committed.
"""

from datetime import datetime
from functools import partial
from typing import Unpack

from channels.db import database_sync_to_async
from django.db import IntegrityError, transaction
from django.utils import timezone

from . import limits
from .announcements import (
    BY_EXPIRY,
    BY_SYSTEM,
    Cause,
    aannounce_message,
    announce_created,
    announce_message,
    announce_removed,
    announce_updated,
)
from .delivery.occupancy import ask
from .errors import (
    AccessForbidden,
    ServiceNotFound,
    StreamNotFound,
    UniqueNameNotFound,
    UniqueNameTaken,
)
from .lookups import (
    forget_services,
    look_up_service,
    look_up_stream,
    recent_stream,
)
from .messages import Message
from .models import (
    DEFAULT_SERVICE,
    Service,
    ServiceQuerySet,
    Stream,
    StreamQuerySet,
)
from .permissions import aauthorize, authorize, authorize_creation, is_allowed
from .rules import (
    ServiceFields,
    check_service_fields,
    check_unique_name,
    expiry,
    is_storable,
)
from .sids import is_sid

EXPIRY_BATCH = 500
"""Lapsed Streams removed in one transaction."""


def create_service(account_sid: str, **fields: Unpack[ServiceFields]) -> Service:
    """Create a Service of the account.

    Raises:
        InvalidFriendlyName: 54053.
        InvalidWebhookUrl: 54051.
        InvalidParameter: 20001.

    See https://www.twilio.com/docs/sync/api/service.
    """
    check_service_fields(fields)
    now = timezone.now()
    return Service.objects.create(
        account_sid=account_sid, date_created=now, date_updated=now, **fields
    )


def get_service(account_sid: str, ref: str) -> Service:
    """Return the account's Service; ``default`` comes into being when first asked for.

    Raises:
        ServiceNotFound: 54050, no Service of the account has that SID or unique name.
    """
    if not is_storable(ref):
        raise ServiceNotFound
    service = Service.objects.by_ref(account_sid, ref).first()
    if service is None and ref == DEFAULT_SERVICE:
        service, _ = Service.objects.get_or_create(
            account_sid=account_sid,
            unique_name=DEFAULT_SERVICE,
            defaults={"friendly_name": "Default Service"},
        )
    if service is None:
        raise ServiceNotFound
    return service


def find_service(account_sid: str, ref: str) -> Service:
    """Return the account's Service as of a moment ago, at most.

    Raises:
        ServiceNotFound: 54050.
    """
    fetch = partial(get_service, account_sid, ref)
    return look_up_service(account_sid, ref, fetch)


def list_services(account_sid: str) -> ServiceQuerySet:
    """Return the account's Services, oldest first."""
    return Service.objects.filter(account_sid=account_sid)


def update_service(service: Service, **fields: Unpack[ServiceFields]) -> Service:
    """Change a Service; without fields it stays as it is.

    Raises:
        InvalidFriendlyName: 54053.
        InvalidWebhookUrl: 54051.
        InvalidParameter: 20001.
        ServiceNotFound: 54050, it was removed meanwhile.
    """
    check_service_fields(fields)
    if fields:
        changes = {**fields, "date_updated": timezone.now()}
        if not Service.objects.filter(sid=service.sid).update(**changes):
            raise ServiceNotFound
        service.refresh_from_db()
        transaction.on_commit(forget_services)
    return service


def remove_service(service: Service, *, cause: Cause = BY_SYSTEM) -> None:
    """Remove a Service and all its Streams; their subscribers are told.

    Raises:
        ServiceNotFound: 54050, it was removed meanwhile.
    """
    with transaction.atomic():
        streams = list(service.streams.all())
        _, removed = Service.objects.filter(sid=service.sid).delete()
        if not removed.get(Service._meta.label):
            raise ServiceNotFound
        transaction.on_commit(forget_services)
        _announce_all(streams, cause)


def create_stream(
    service: Service,
    *,
    unique_name: str | None = None,
    ttl: int | None = None,
    cause: Cause = BY_SYSTEM,
) -> Stream:
    """Create a Stream.

    Args:
        service: the Service it belongs to.
        unique_name: 1 to 320 characters, not like a SID; none: known by its SID only.
        ttl: seconds until it lapses, 0 to 31,536,000; 0 or none: never.
        cause: who creates it.

    Raises:
        InvalidUniqueName: 54302.
        InvalidTtl: 54011.
        UniqueNameTaken: 54301, another live Stream has the name.
        AccessForbidden: 54007.
        ServiceNotFound: 54050, the Service was removed meanwhile.

    See https://www.twilio.com/docs/sync/api/stream-resource.
    """
    _check_may_change(cause)
    check_unique_name(unique_name)
    if not cause.is_trusted:
        # A connection knows its Service as it was when the connection began.
        service = get_service(service.account_sid, service.sid)
        authorize_creation(cause, service, unique_name)
    now = timezone.now()
    stream = Stream(
        account_sid=service.account_sid,
        service=service,
        unique_name=unique_name,
        date_expires=expiry(ttl, now),
        date_created=now,
        date_updated=now,
        created_by=cause.identity,
    )
    try:
        with transaction.atomic():
            _remove_lapsed(Stream.objects.filter(service=service).by_name(unique_name))
            stream.save(force_insert=True)
            transaction.on_commit(partial(announce_created, stream, cause))
    except IntegrityError as error:
        is_service_gone = not Service.objects.filter(sid=service.sid).exists()
        raise (ServiceNotFound if is_service_gone else UniqueNameTaken) from error
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
        stream = streams.by_ref(ref).first()
    if stream is None:
        raise _not_found(ref)
    return stream


def open_stream(service: Service, ref: str, *, cause: Cause = BY_SYSTEM) -> Stream:
    """Return the live Stream to one who may subscribe or publish to it.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    stream = get_stream(service, ref)
    if not is_allowed(cause, "subscribe", stream):
        authorize(cause, "publish", stream)
    return stream


def find_stream(service: Service, ref: str) -> Stream:
    """Return the Service's live Stream as of a moment ago, at most.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
    """
    return look_up_stream(service.sid, ref, partial(get_stream, service, ref))


def list_streams(service: Service) -> StreamQuerySet:
    """Return the Service's live Streams, oldest first."""
    return Stream.objects.live().filter(service=service)


def update_stream(
    service: Service, ref: str, *, ttl: int | None = None, cause: Cause = BY_SYSTEM
) -> Stream:
    """Give a Stream another life-time, from now on; without one it stays as it is.

    Raises:
        InvalidTtl: 54011, ``ttl`` is not 0 (never lapses) to 31,536,000 seconds.
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    _check_may_change(cause)
    stream = get_stream(service, ref)
    authorize(cause, "remove", stream)
    if ttl is None:
        return stream
    stream.date_updated = timezone.now()
    stream.date_expires = expiry(ttl, stream.date_updated)
    with transaction.atomic():
        changed = Stream.objects.filter(sid=stream.sid).update(
            date_expires=stream.date_expires, date_updated=stream.date_updated
        )
        if not changed:
            raise _not_found(ref)
        transaction.on_commit(partial(announce_updated, stream, cause))
    return stream


def remove_stream(service: Service, ref: str, *, cause: Cause = BY_SYSTEM) -> None:
    """Remove a Stream; its subscribers are told, once.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        AccessForbidden: 54007.
    """
    _check_may_change(cause)
    stream = get_stream(service, ref)
    authorize(cause, "remove", stream)
    with transaction.atomic():
        removed, _ = Stream.objects.filter(sid=stream.sid).delete()
        if not removed:
            raise _not_found(ref)
        _announce_all([stream], cause)


def expire_streams(now: datetime | None = None) -> int:
    """Remove every lapsed Stream, in batches, and return how many there were.

    Any number of processes may do this at once: each Stream is removed, and its removal
    announced, by one of them.
    """
    total = 0
    # As a rule there are none, and looking costs no lock.
    while Stream.objects.lapsed(now).exists():
        with transaction.atomic():
            removed = _remove_lapsed(Stream.objects.all(), now)
        if not removed:
            break  # somebody else removed them meanwhile
        total += removed
    return total


def publish(
    service: Service, stream_ref: str, data: object, *, cause: Cause = BY_SYSTEM
) -> Message:
    """Publish *data* to a Stream: it reaches whoever is subscribed now, at most once.

    Args:
        service: the Stream's Service.
        stream_ref: SID (``TO…``) or unique name of the Stream.
        data: a JSON object of at most 4,096 bytes as compact UTF-8 JSON.
        cause: who publishes.

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
    _check_may_change(cause)
    stream = find_stream(service, stream_ref)
    authorize(cause, "publish", stream)
    message = Message.new(stream.sid, data)
    limits.spend(stream.sid)
    announce_message(stream, message, cause)
    return message


async def apublish(
    service: Service, stream_ref: str, data: object, *, cause: Cause = BY_SYSTEM
) -> Message:
    """Do as :func:`publish` does, from async code and, as a rule, without a thread."""
    _check_may_change(cause)
    stream = recent_stream(service.sid, stream_ref)
    if stream is None:
        find = database_sync_to_async(find_stream, thread_sensitive=False)
        stream = await find(service, stream_ref)
    await aauthorize(cause, "publish", stream)
    message = Message.new(stream.sid, data)
    await limits.aspend(stream.sid)
    await aannounce_message(stream, message, cause)
    return message


def occupancy(stream: Stream) -> int:
    """Return how many connections are subscribed to a Stream, over all processes.

    Asks them now, which takes a quarter of a second.
    """
    return ask([stream.sid]).subscribers.get(stream.sid, 0)


def _check_may_change(cause: Cause) -> None:
    if cause.is_read_only:
        raise AccessForbidden


def _not_found(ref: str) -> StreamNotFound | UniqueNameNotFound:
    return StreamNotFound() if is_sid(ref) else UniqueNameNotFound()


def _remove_lapsed(streams: StreamQuerySet, now: datetime | None = None) -> int:
    # The lock makes one sweeper of many remove a row; where the database has none
    # (SQLite), its writers wait for one another anyway.
    locked = streams.lapsed(now).select_for_update()
    lapsed = list(locked.prefetch_related("service")[:EXPIRY_BATCH])
    if lapsed:
        Stream.objects.filter(sid__in=[stream.sid for stream in lapsed]).delete()
        _announce_all(lapsed, BY_EXPIRY)
    return len(lapsed)


def _announce_all(streams: list[Stream], cause: Cause) -> None:
    for stream in streams:
        transaction.on_commit(partial(announce_removed, stream, cause))
