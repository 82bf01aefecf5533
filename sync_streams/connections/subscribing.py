"""Subscribing one connection to a Stream, whatever its transport."""

from sync_streams import operations
from sync_streams.cache.lookups import cached_stream
from sync_streams.conf import get_settings
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.delivery.subscriptions import Subscriptions
from sync_streams.errors import TooManySubscriptions
from sync_streams.models import Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.databases import run
from sync_streams.operations.permissions import aauthorize, is_asked


async def subscribe(
    subscriptions: Subscriptions, outbox: Outbox, stream: Stream, actor: Actor
) -> None:
    """Deliver a Stream's Messages to a connection from now on.

    If this fails, a subscription that the connection already had remains.

    Raises:
        TooManySubscriptions: 54419.
        AccessForbidden: 54007.
        StreamNotFound: 54250, it was removed meanwhile.
        ServiceUnavailable: 20503, the channel layer does not respond.
    """
    _check_room(outbox, stream)
    await aauthorize(actor, "subscribe", stream)
    expires_at, is_new = _expiry(stream), stream.sid not in outbox.streams
    await subscriptions.subscribe(outbox, stream.sid, expires_at)
    # A change before now was not sent to this new subscriber.
    current = cached_stream(stream.service_id, stream.sid)
    if current is None:
        try:
            current = await run(_find_again, stream)
        except Exception:
            if is_new:
                subscriptions.unsubscribe(outbox, stream.sid)
            raise
    if _expiry(current) != expires_at:
        subscriptions.expire_at(stream.sid, _expiry(current))


def subscribe_now(
    subscriptions: Subscriptions, outbox: Outbox, stream: Stream, actor: Actor
) -> bool:
    """Subscribe to a cached Stream, if that needs no query and no waiting.

    Returns:
        Whether the connection is subscribed; if not, nothing was done.

    Raises:
        TooManySubscriptions: 54419.
    """
    _check_room(outbox, stream)
    if is_asked(actor):
        return False
    return subscriptions.subscribe_now(outbox, stream.sid, _expiry(stream))


def _check_room(outbox: Outbox, stream: Stream) -> None:
    streams = outbox.streams
    is_full = len(streams) >= get_settings().max_subscriptions
    if is_full and stream.sid not in streams:
        raise TooManySubscriptions


def _expiry(stream: Stream) -> float | None:
    return stream.date_expires.timestamp() if stream.date_expires else None


def _find_again(stream: Stream) -> Stream:
    # In the thread, since the Stream may not have loaded its Service yet.
    return operations.find_stream(stream.service, stream.sid)
