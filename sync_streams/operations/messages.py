"""Publishing Messages.

See https://www.twilio.com/docs/sync/api/stream-message-resource.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

from sync_streams.cache.lookups import cached_service, cached_stream
from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable
from sync_streams.models import Service
from sync_streams.redis import rate_limit

from .actor import SYSTEM_ACTOR, Actor
from .announcements import (
    aannounce_message,
    announce_message,
    announce_message_now,
    can_announce_now,
)
from .data import Message
from .permissions import aauthorize, authorize, check_may_change, is_asked
from .services import find_service
from .streams import find_stream

P = ParamSpec("P")
T = TypeVar("T")


def publish(
    service: Service, stream_ref: str, data: object, *, actor: Actor = SYSTEM_ACTOR
) -> Message:
    """Publish *data* to a Stream: it reaches whoever is subscribed now, at most once.

    Args:
        service: the Stream's Service.
        stream_ref: SID (``TO…``) or unique name of the Stream.
        data: a JSON object of at most 4,096 bytes as compact UTF-8 JSON.
        actor: who publishes.

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
    check_may_change(actor)
    stream = find_stream(service, stream_ref)
    authorize(actor, "publish", stream)
    message = Message.new(stream.sid, data)
    rate_limit.spend(stream.sid)
    announce_message(stream, message, actor)
    return message


async def apublish(
    service: Service, stream_ref: str, data: object, *, actor: Actor = SYSTEM_ACTOR
) -> Message:
    """Do as :func:`publish` does, from async code and, as a rule, without a thread."""
    check_may_change(actor)
    stream = cached_stream(service.sid, stream_ref)
    if stream is None:
        stream = await find_in_time(find_stream, service, stream_ref)
    await aauthorize(actor, "publish", stream)
    message = Message.new(stream.sid, data)
    await rate_limit.aspend(stream.sid)
    await aannounce_message(stream, message, actor)
    return message


def publish_now(
    service: Service, stream_ref: str, data: object, *, actor: Actor = SYSTEM_ACTOR
) -> Message | None:
    """Do as :func:`publish` does, on the event loop, if nothing has to be waited for.

    Returns:
        The Message, or ``None`` where nothing was done: :func:`apublish` then does it.
    """
    check_may_change(actor)
    stream = cached_stream(service.sid, stream_ref)
    if stream is None or is_asked(actor) or not rate_limit.is_local():
        return None
    if not can_announce_now(stream):
        return None
    message = Message.new(stream.sid, data)
    rate_limit.spend(stream.sid)
    announce_message_now(stream, message, actor)
    return message


async def afind_service(account_sid: str, ref: str) -> Service:
    """Do as :func:`find_service` does, from async code.

    Raises:
        ServiceNotFound: 54050.
        ServiceUnavailable: 20503, the database did not answer in time.
    """
    service = cached_service(account_sid, ref)
    if service is None:
        service = await find_in_time(find_service, account_sid, ref)
    return service


async def find_in_time(find: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Find something in a thread, within ``broadcast_timeout_seconds``.

    Raises:
        ServiceUnavailable: 20503, the database did not answer in time.
    """
    call = database_sync_to_async(find, thread_sensitive=False)
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            return await call(*args, **kwargs)
    except TimeoutError as error:
        raise ServiceUnavailable from error
