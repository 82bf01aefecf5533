"""Events on the channel layer: their shapes, their groups, the only ``group_send``.

See https://channels.readthedocs.io/en/stable/topics/channel_layers.html.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError
from threading import Lock, Thread
from typing import Any, Final, Literal, NotRequired, TypedDict, TypeVar

from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .hearing import hearing
from .servers import server_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

LATEST = 3
"""How many ``broadcast_timeout_seconds`` a thread waits for the event loop at most."""

MESSAGE: Final = "message.published"

PROCESS_GROUP = "sync_streams.processes"
"""Group of every process that holds sockets."""


class Event(TypedDict):
    """What travels through the layer; ``type`` names the hub's handler."""

    type: Literal["message.published", "stream.removed", "stream.updated"]
    stream_sid: str
    origin: NotRequired[str | None]
    """Id of the connection that caused the event, if one did."""

    message_sid: NotRequired[str]
    text: NotRequired[str]
    """The Message's data as finished JSON text."""

    expires_at: NotRequired[float | None]
    """When the Stream lapses, in seconds since 1970; ``None``: never."""


class ServiceEvent(TypedDict):
    """A Service has changed or is gone."""

    type: Literal["service.changed"]
    service_sid: str


def stream_group(stream_sid: str) -> str:
    """Return the group of the processes that hold a Stream's subscribers."""
    return f"sync_streams.stream.{stream_sid}"


def channel_layer() -> BaseChannelLayer:
    """Return the host project's default channel layer."""
    layer = get_channel_layer()
    if layer is None:
        raise ImproperlyConfigured("CHANNEL_LAYERS has no default layer.")
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
    group = PROCESS_GROUP
    if event["type"] == MESSAGE:
        group = stream_group(event["stream_sid"])
        await _be_heard(event["stream_sid"], group)
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await send_to_group(group, event)
    except Exception as error:
        # Layers are pluggable and their errors share no base class.
        logger.warning("an event could not be broadcast: %r", error)
        raise ServiceUnavailable from error


async def _be_heard(stream_sid: str, group: str) -> None:
    heard = hearing()
    if heard.is_behind(stream_sid):
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await heard.keep_pace()
        except TimeoutError as error:
            raise ServiceUnavailable from error
    if heard.deaf_to and server_of(channel_layer(), group) in heard.deaf_to:
        raise ServiceUnavailable


def broadcast(event: Event | ServiceEvent) -> None:
    """Do as :func:`abroadcast` does, from synchronous code of any thread."""
    run_on_loop(abroadcast(event))


def run_on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop that broadcasts, from synchronous code; wait for it.

    Raises:
        SynchronousOnlyOperation: an event loop runs in this thread.
        ServiceUnavailable: 20503, that loop stops, or is much too late.
    """
    return _loops.run(coroutine)


def serve_on(loop: asyncio.AbstractEventLoop) -> None:
    """Let synchronous callers of this process broadcast through *loop*."""
    _loops.serving = loop


class _Loops:
    """The event loop that broadcasts for synchronous code.

    It is the one that serves this process's sockets. Elsewhere (a task queue, a
    command, WSGI) one thread keeps one loop: a loop for each call would leave behind
    a Redis connection each time (https://github.com/django/channels_redis/issues/125).
    """

    def __init__(self) -> None:
        self.serving: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._lock = Lock()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if _is_in_event_loop():
            coroutine.close()
            raise SynchronousOnlyOperation("Use the async twin from async code.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop())
        try:
            return future.result(LATEST * get_settings().broadcast_timeout_seconds)
        except (TimeoutError, CancelledError) as error:
            # The loop hangs, or its server stops: nobody would ever answer.
            future.cancel()
            raise ServiceUnavailable from error

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self.serving is not None and self.serving.is_running():
            return self.serving
        with self._lock:
            # A thread does not survive a fork, hence the look at its life.
            if self._own is None or self._thread is None or not self._thread.is_alive():
                self._own = asyncio.new_event_loop()
                self._thread = Thread(
                    target=self._own.run_forever, name="sync_streams", daemon=True
                )
                self._thread.start()
        return self._own


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_loops = _Loops()
