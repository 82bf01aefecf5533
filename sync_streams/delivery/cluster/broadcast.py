"""Broadcast: sends events to groups on the channel layer; the only ``group_send``.

See https://channels.readthedocs.io/en/stable/topics/channel_layers.html.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from time import perf_counter
from typing import Any, TypeAlias

from channels.exceptions import InvalidChannelLayerError
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster.event_loop import LATEST, loops, run_on_loop
from sync_streams.delivery.events import (
    MESSAGE,
    Event,
    ServiceEvent,
    process_group,
    stream_group,
)
from sync_streams.delivery.meters import meters
from sync_streams.delivery.sequence import numbers
from sync_streams.delivery.tracing import broadcasting
from sync_streams.errors import RateLimited, ServiceUnavailable
from sync_streams.layers import InMemoryChannelLayer
from sync_streams.processes.background import submit
from sync_streams.processes.per_loop import PerLoop
from sync_streams.redis import rate_limit
from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.layer import RedisChannelLayer
from sync_streams.values.throttle import Throttle

from .backpressure import backpressure
from .servers import is_ours, server_of
from .slots import slot

logger = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[Exception | None], None]
"""Called with the outcome of a broadcast: ``None``, or what its async twin raises."""

ReadyGroup: TypeAlias = tuple[InMemoryChannelLayer | RedisChannelLayer, str]
"""A layer that sends without waiting, and a group on it."""

LOG_SECONDS = 1
"""Time between log lines about errors of one type: a layer that hangs fails each of
thousands of clients at once."""

NO_LAYER = (
    'CHANNEL_LAYERS has no "default" layer: Messages reach nobody. One process may use '
    "sync_streams.layers.InMemoryChannelLayer, several need channels_redis."
)

_Throttles = defaultdict[type[Exception], Throttle]
"""How often an error of each type is logged."""

_throttles = PerLoop(lambda: _Throttles(lambda: Throttle(LOG_SECONDS)))


def channel_layer() -> BaseChannelLayer:
    """Return the host project's default channel layer.

    Raises:
        ImproperlyConfigured: ``CHANNEL_LAYERS`` has none, or it cannot be imported.
    """
    try:
        layer = get_channel_layer()
    except InvalidChannelLayerError as error:
        raise ImproperlyConfigured(f"CHANNEL_LAYERS: {error}.") from error
    if layer is None:
        raise ImproperlyConfigured(NO_LAYER)
    return layer


async def send_to_group(group: str, event: Mapping[str, object]) -> None:
    """Send an event to a group, without a time limit."""
    await channel_layer().group_send(group, dict(event))


async def abroadcast(event: Event | ServiceEvent) -> None:
    """Send an event to the processes that it concerns.

    A Message goes to processes with subscribers. A change to a Stream or a Service goes
    to all processes, because each of them may have cached it.

    Raises:
        ServiceUnavailable: 20503, the layer did not accept it within
            ``broadcast_timeout_seconds``. For a Message also: this process has been
            behind for that long, or the Message's server does not reach it.
    """
    if (serving := loops.elsewhere()) is not None:
        await _hand_over(abroadcast(event), serving)
        return
    group = process_group()
    if event["type"] == MESSAGE:
        group = stream_group(event["stream_sid"])
        await _check_reachable(event["stream_sid"], group)
        await _send_message(group, event)
        return
    await _send_in_time(group, event)


async def abroadcast_message(event: Event) -> None:
    """Count a Message against its Stream's rate and send it to the subscribers.

    Our own layer on Redis does both in one step. With any other layer, a Message that
    was counted but could not be sent still uses up the rate.

    Raises:
        RateLimited: 54009, with the seconds to wait; it was not published.
        ServiceUnavailable: 20503, see :func:`abroadcast`; or the rate limiter does not
            respond.
    """
    if (serving := loops.elsewhere()) is not None:
        await _hand_over(abroadcast_message(event), serving)
        return
    with broadcasting(event):
        await _send_in_rate(event)


async def _send_in_rate(event: Event) -> None:
    stream_sid = event["stream_sid"]
    group, layer = stream_group(stream_sid), channel_layer()
    await _check_reachable(stream_sid, group)
    started = perf_counter()
    if isinstance(layer, RedisChannelLayer):
        rate = rate_limit.rate(stream_sid)
        try:
            wait = await layer.group_send_in_rate(group, event, rate)
        except RedisUnavailable as error:
            raise _unpublished(error) from error
        if wait > 0:
            raise rate_limit.refusal(stream_sid, wait)
    else:
        await rate_limit.aspend(stream_sid)
        await _send_message(group, event)
    meters.observe("broadcast_seconds", perf_counter() - started)


async def acheck_rate(group: str) -> None:
    """Check that the rate limiter accepts Messages.

    A Redis that is read-only or full, or denies this site's user, may still pass on
    events.

    Args:
        group: a group that only this process is in, on the server to check.

    Raises:
        ServiceUnavailable: 20503, no Message could be published.
    """
    layer, token = channel_layer(), group.rpartition(".")[2]
    try:
        if isinstance(layer, RedisChannelLayer):
            event = {"type": "check"}
            await layer.group_send_in_rate(group, event, rate_limit.rate(token))
        elif get_settings().redis_url:
            await rate_limit.aspend(token)
    except RateLimited:
        return  # checked too often, so the limiter works
    except RedisUnavailable as error:
        raise ServiceUnavailable from error


async def _send_message(group: str, event: Event) -> None:
    if is_ours(channel_layer()):
        await _send_in_time(group, event)
        return
    with numbers.get().sending(event["stream_sid"]) as sequence:
        await _send_in_time(group, {**event, "sequence": sequence})


async def _send_in_time(group: str, event: Mapping[str, object]) -> None:
    try:
        timeout = get_settings().broadcast_timeout_seconds
        async with asyncio.timeout(timeout), slot(channel_layer(), group):
            await send_to_group(group, event)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> ServiceUnavailable:
    """Log a failure of the layer, not too often, and return the error to raise."""
    log_failure(error)
    return ServiceUnavailable()


def log_failure(error: Exception) -> None:
    """Log a failure of the layer, unless one of its type was logged just now."""
    # Our own layer logs changes of state rather than each error. Others are pluggable,
    # and their errors share no base class.
    if isinstance(error, RedisUnavailable):
        return
    if _throttles.get()[type(error)].allows():
        logger.warning("channel layer failed: %r", error)


def _unpublished(error: RedisUnavailable) -> ServiceUnavailable:
    return ServiceUnavailable(is_unpublished=error.is_undone)


def group_at_hand(stream_sid: str) -> ReadyGroup | None:
    """Return a Stream's group, if a Message reaches it without waiting or loss.

    Returns:
        The argument for :func:`start_broadcast`; ``None``: call
        :func:`abroadcast_message` instead, which checks more closely.
    """
    known, serving = backpressure(), loops.serving
    is_here = serving is None or serving is asyncio.get_running_loop()
    if known.unreachable or known.is_behind or not is_here:
        return None
    layer, group = channel_layer(), stream_group(stream_sid)
    if not isinstance(layer, (InMemoryChannelLayer, RedisChannelLayer)):
        return None
    # In memory, a rate that Redis counts needs waiting.
    is_counted = isinstance(layer, RedisChannelLayer) or not get_settings().redis_url
    return (layer, group) if is_counted and layer.can_start(group) else None


def start_broadcast(to: ReadyGroup, event: Event, tell: Tell) -> None:
    """Do what :func:`abroadcast_message` does, without waiting and untraced.

    Args:
        to: what :func:`group_at_hand` has just returned.
        event: the Message.
        tell: called once with the outcome: before this returns, in memory, or when
            Redis has replied. It must not raise.
    """
    (layer, group), stream_sid = to, event["stream_sid"]
    rate = rate_limit.rate(stream_sid)
    if isinstance(layer, RedisChannelLayer):
        layer.start_in_rate(group, event, rate, _told(stream_sid, tell))
    elif (wait := rate_limit.admissions.wait(*rate)) > 0:
        tell(rate_limit.refusal(stream_sid, wait))
    else:
        layer.group_send_now(group, event)
        tell(None)


def _told(stream_sid: str, tell: Tell) -> Callable[[float, Exception | None], None]:
    started = perf_counter()

    def told(wait: float, error: Exception | None) -> None:
        if isinstance(error, RedisUnavailable):
            error = _unpublished(error)
        elif wait > 0:
            error = rate_limit.refusal(stream_sid, wait)
        else:
            meters.observe("broadcast_seconds", perf_counter() - started)
        tell(error)

    return told


async def _hand_over(
    broadcasting: Coroutine[Any, Any, None], serving: asyncio.AbstractEventLoop
) -> None:
    # Used from this loop, an in-memory layer would not wake the receiving loop.
    try:
        outcome = asyncio.wrap_future(submit(serving, broadcasting))
    except CancelledError as error:
        raise ServiceUnavailable from error
    try:
        seconds = LATEST * get_settings().broadcast_timeout_seconds
        await asyncio.wait([outcome], timeout=seconds)
        if not outcome.done() or outcome.cancelled():
            # The loop hangs or its server is stopping.
            raise ServiceUnavailable
        outcome.result()
    finally:
        outcome.cancel()


async def _check_reachable(stream_sid: str, group: str) -> None:
    hub = backpressure()
    if hub.is_behind and stream_sid in hub.streams:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await hub.wait()
        except TimeoutError as error:
            raise ServiceUnavailable(is_unpublished=True) from error
    if hub.unreachable and server_of(channel_layer(), group) in hub.unreachable:
        raise ServiceUnavailable(is_unpublished=True)


def broadcast(event: Event | ServiceEvent) -> None:
    """Synchronous version of :func:`abroadcast`, for any thread."""
    run_on_loop(abroadcast(event))


def broadcast_message(event: Event) -> None:
    """Synchronous version of :func:`abroadcast_message`, for any thread."""
    run_on_loop(abroadcast_message(event))
