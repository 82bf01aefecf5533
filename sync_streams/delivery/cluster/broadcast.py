"""Events on the channel layer: their shapes, their groups, the only ``group_send``.

See https://channels.readthedocs.io/en/stable/topics/channel_layers.html.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from time import perf_counter
from typing import Any, cast

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
from sync_streams.errors import RateLimited, ServiceUnavailable
from sync_streams.layers import InMemoryChannelLayer
from sync_streams.redis import rate_limit
from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.layer import RedisChannelLayer

from .backpressure import backpressure
from .servers import server_of

logger = logging.getLogger(__name__)


NO_LAYER = (
    'CHANNEL_LAYERS has no "default" layer: Messages reach nobody. One process may use '
    "sync_streams.layers.InMemoryChannelLayer, several need channels_redis."
)


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
    """Send an event to a group, for as long as the layer takes."""
    await channel_layer().group_send(group, dict(event))


async def abroadcast(event: Event | ServiceEvent) -> None:
    """Send an event to the processes that it concerns.

    A Message goes to those with subscribers; whatever happens to a Stream or a Service
    itself goes to all, because each may have looked it up a moment ago.

    Raises:
        ServiceUnavailable: 20503, the layer did not take it within
            ``broadcast_timeout_seconds``; or it is a Message, and this process has
            been behind for as long, or hears nothing from where it would go.
    """
    if (serving := loops.elsewhere()) is not None:
        await _hand_over(abroadcast(event), serving)
        return
    group = process_group()
    if event["type"] == MESSAGE:
        group = stream_group(event["stream_sid"])
        await _check_reachable(event["stream_sid"], group)
    await _send_in_time(group, event)


async def abroadcast_message(event: Event) -> None:
    """Take a Message out of its Stream's rate and send it to who has subscribers.

    Our own layer on Redis does both in one step; with any other one, a Message that
    could be counted and not sent is lost to the rate.

    Raises:
        RateLimited: 54009, with the seconds to wait; nobody was told.
        ServiceUnavailable: 20503, as of :func:`abroadcast`, or what counts the rate
            does not answer.
    """
    if (serving := loops.elsewhere()) is not None:
        await _hand_over(abroadcast_message(event), serving)
        return
    stream_sid = event["stream_sid"]
    group, layer = stream_group(stream_sid), channel_layer()
    await _check_reachable(stream_sid, group)
    started = perf_counter()
    if isinstance(layer, RedisChannelLayer):
        rate = rate_limit.rate(stream_sid)
        try:
            wait = await layer.group_send_in_rate(group, event, rate)
        except RedisUnavailable as error:
            raise ServiceUnavailable(is_unpublished=error.is_undone) from error
        rate_limit.check(stream_sid, wait)
    else:
        await rate_limit.aspend(stream_sid)
        await _send_in_time(group, event)
    meters.observe("broadcast_seconds", perf_counter() - started)


async def acheck_rate(group: str) -> None:
    """Make sure that what counts the publish rate admits Messages.

    A Redis that is read-only or full, or refuses this site's user, may still pass
    events on.

    Args:
        group: a group of this process alone, on the server that is checked.

    Raises:
        ServiceUnavailable: 20503, no Message would be published.
    """
    layer, token = channel_layer(), group.rpartition(".")[2]
    try:
        if isinstance(layer, RedisChannelLayer):
            event = {"type": "check"}
            await layer.group_send_in_rate(group, event, rate_limit.rate(token))
        elif not rate_limit.is_local():
            await rate_limit.aspend(token)
    except RateLimited:
        return  # asked too often: it counts
    except RedisUnavailable as error:
        raise ServiceUnavailable from error


async def _send_in_time(group: str, event: Mapping[str, object]) -> None:
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await send_to_group(group, event)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> ServiceUnavailable:
    """Return what to raise where the layer has failed, which is logged."""
    # Our own layer logs what changes, not each error. Others are pluggable and their
    # errors share no base class.
    if not isinstance(error, RedisUnavailable):
        logger.warning("channel layer failed: %r", error)
    return ServiceUnavailable()


def can_broadcast_now(stream_sid: str) -> bool:
    """Return whether a Message of the Stream needs no waiting, nor would be lost."""
    layer, known = channel_layer(), backpressure()
    return (
        isinstance(layer, InMemoryChannelLayer)
        and loops.elsewhere() is None
        and not known.unreachable
        and not known.is_behind(stream_sid)
        and layer.can_send_now(stream_group(stream_sid))
    )


def broadcast_now(event: Event) -> None:
    """Broadcast a Message without waiting, where :func:`can_broadcast_now` says so."""
    layer = cast("InMemoryChannelLayer", channel_layer())
    layer.group_send_now(stream_group(event["stream_sid"]), dict(event))


async def _hand_over(
    broadcasting: Coroutine[Any, Any, None], serving: asyncio.AbstractEventLoop
) -> None:
    # From here a layer in memory would not wake the loop that receives.
    future = asyncio.run_coroutine_threadsafe(broadcasting, serving)
    try:
        async with asyncio.timeout(LATEST * get_settings().broadcast_timeout_seconds):
            await asyncio.wrap_future(future)
    except TimeoutError as error:
        raise ServiceUnavailable from error


async def _check_reachable(stream_sid: str, group: str) -> None:
    hub = backpressure()
    if hub.is_behind(stream_sid):
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await hub.wait()
        except TimeoutError as error:
            raise ServiceUnavailable(is_unpublished=True) from error
    if hub.unreachable and server_of(channel_layer(), group) in hub.unreachable:
        raise ServiceUnavailable(is_unpublished=True)


def broadcast(event: Event | ServiceEvent) -> None:
    """Do as :func:`abroadcast` does, from synchronous code of any thread."""
    run_on_loop(abroadcast(event))


def broadcast_message(event: Event) -> None:
    """Do as :func:`abroadcast_message` does, from synchronous code of any thread."""
    run_on_loop(abroadcast_message(event))
