"""Base of the socket consumers: identity, subscriptions, life-time of a connection.

An adapter derives from it, reads the frames of its protocol, calls the methods here or
an operation, and writes the answers into :attr:`SubscriberConsumer.outbox`.
See https://channels.readthedocs.io/en/stable/topics/consumers.html.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar, ParamSpec, TypeVar

from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from django.db import InterfaceError, OperationalError

from . import operations
from .announcements import Cause, announce_endpoint
from .conf import get_settings
from .connections import LAST_CLOSES_SECONDS, CloseCode, connections, spread
from .delivery.frames import FRAME_EXTENSION, Encoder
from .delivery.hub import get_hub
from .delivery.outbox import Outbox
from .errors import (
    InternalError,
    ServiceUnavailable,
    SyncError,
    TokenMismatch,
    TooManyRequests,
    TooManySubscriptions,
)
from .lookups import recent_service, recent_stream
from .models import Service, Stream
from .permissions import aauthorize
from .timers import Timers
from .tokens import Identity, has_key, read_token

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ABOUT_TO_EXPIRE_SECONDS = 180
"""How long before a token lapses the client is told (Twilio: 3 minutes)."""

FRAME_RATE_WINDOW_SECONDS = 2

_PROCESS = token_hex(8)
_numbers = count()


class SubscriberConsumer(AsyncConsumer):
    """One connection: who it is, what it is subscribed to, when it ends."""

    encoder: ClassVar[Encoder]
    """How the protocol writes what happens to Streams."""

    back_within = 0.0
    """Seconds over which the herd that leaves with it may come back; 0: it is none."""

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Serve the connection.

        Unlike the base class this opens no channel: the process's hub has one for all
        connections.
        """
        self.scope, self._send = scope, send
        self.hub = get_hub()
        self.identity: Identity | None = None
        self.service: Service | None = None
        self._timers = Timers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._task = asyncio.current_task()
        self._frames, self._window_ends, self._heard = 0, 0.0, 0.0
        self._is_leaving = False
        self.outbox = self._open_outbox()
        connections.add(self)
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except asyncio.CancelledError:
            if not self._is_leaving:
                raise
        finally:
            self._end()

    async def dispatch(self, message: Any) -> None:
        """Call the method that the ASGI event's type names.

        Unlike the base class this does not look after database connections: that is a
        thread hop for each frame (channels/consumer.py, channels/db.py), and no frame
        leaves one open, since :func:`run` closes what its operation used.
        """
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_connect(self, message: Mapping[str, Any]) -> None:
        """Accept the socket, unless its page's origin may not open one."""
        if not self._has_allowed_origin():
            await self._send({"type": "websocket.close"})
            return
        await self._send(
            {"type": "websocket.accept", "subprotocol": self.subprotocol()}
        )
        self.call_later(
            "connect", get_settings().connect_timeout_seconds, CloseCode.NOT_CONNECTED
        )

    def note_heard(self) -> None:
        """Take note that the client lives."""
        self._heard = time.monotonic()

    async def websocket_receive(self, message: Mapping[str, Any]) -> None:
        """Read a frame."""
        self.note_heard()
        await self.receive_frame(message.get("text"), message.get("bytes"))

    async def websocket_disconnect(self, message: Mapping[str, Any]) -> None:
        """End."""
        raise StopConsumer

    async def receive_frame(self, text: str | None, data: bytes | None) -> None:
        """Answer one frame of the client; the adapter's."""
        raise NotImplementedError

    def take(self, data: bytes) -> bool:
        """Take a frame that asks for nothing, if it is one; the adapter's.

        A server may call it as soon as the frame is there.

        Returns:
            Whether that was all there is to do.
        """
        return False

    def subprotocol(self) -> str | None:
        """Return the subprotocol to accept, if any."""
        return None

    def tell_token_about_to_expire(self) -> None:
        """Write that the access token lapses in 3 minutes; the adapter's."""
        raise NotImplementedError

    async def leave(self, code: CloseCode) -> None:
        """End the connection, and say why; the adapter's."""
        raise NotImplementedError

    @property
    def cause(self) -> Cause:
        """This connection, as the cause of what it asks for."""
        if self.identity is None:
            return Cause("", self.outbox.connection_id)
        return Cause(
            self.identity.name,
            self.outbox.connection_id,
            is_read_only=self.identity.is_read_only,
        )

    async def authenticate(self, token: object) -> Identity:
        """Let the token say who this is.

        Raises:
            TooManyRequests: 20429, the process takes no more connections now.
            InvalidToken: 20101 to 20107.
            ServiceNotFound: 54050, the token's Service does not exist.
            ServiceUnavailable: 20503, the channel layer does not answer.
        """
        connections.admit()
        identity = read_token(token)
        account_sid, ref = identity.account_sid, identity.service_ref
        service = recent_service(account_sid, ref)
        if service is None:
            service = await run(operations.find_service, account_sid, ref)
        await self.hub.start()
        self.identity, self.service = identity, service
        self._timers.cancel("connect")
        self._watch_token(identity)
        self._keep_alive()
        announce_endpoint("connected", service, self.cause)
        return identity

    async def renew(self, token: object) -> Identity:
        """Let a new token of the same identity and Service take the place of the old.

        Raises:
            InvalidToken: 20101 to 20107; 51215 for another identity or Service.
        """
        identity, known = read_token(token), self.identity
        if known is None or self.service is None:
            raise TokenMismatch
        if (identity.name, identity.account_sid) != (known.name, known.account_sid):
            raise TokenMismatch
        names = {known.service_ref, self.service.sid, self.service.unique_name}
        if identity.service_ref not in names:
            raise TokenMismatch
        self.identity = identity
        self._watch_token(identity)
        return identity

    async def subscribe(self, stream: Stream) -> None:
        """Deliver a Stream's Messages to this connection from now on.

        Raises:
            TooManySubscriptions: 54419.
            AccessForbidden: 54007.
            StreamNotFound: 54250, it was removed meanwhile.
            ServiceUnavailable: 20503, the channel layer does not answer.
        """
        streams = self.outbox.streams
        is_full = len(streams) >= get_settings().max_subscriptions
        if is_full and stream.sid not in streams:
            raise TooManySubscriptions
        await aauthorize(self.cause, "subscribe", stream)
        expires_at = _expiry(stream)
        await self.hub.subscribe(self.outbox, stream.sid, expires_at)
        # A change before this moment found no subscriber to tell.
        recent = recent_stream(stream.service_id, stream.sid)
        current = recent or await self._get_again(stream)
        if _expiry(current) != expires_at:
            self.hub.expire_at(stream.sid, _expiry(current))

    def unsubscribe(self, stream_sid: str) -> None:
        """Deliver a Stream's Messages no more."""
        self.hub.unsubscribe(self.outbox, stream_sid)

    def count_frame(self) -> None:
        """Count an inbound frame against the connection's rate.

        Raises:
            TooManyRequests: 20429, more than ``max_frames_per_second``. A connection
                that goes on to twice as many is closed.
        """
        now = time.monotonic()
        if now >= self._window_ends:
            self._frames, self._window_ends = 0, now + FRAME_RATE_WINDOW_SECONDS
        self._frames += 1
        limit = get_settings().max_frames_per_second * FRAME_RATE_WINDOW_SECONDS
        if self._frames > 2 * limit:
            self.leave_soon(CloseCode.TOO_MANY_FRAMES)
        if self._frames > limit:
            raise TooManyRequests

    def call_later(self, name: str, delay: float, code: CloseCode) -> None:
        """Leave after *delay* seconds, unless the timer of that name is set again."""
        self._timers.set(name, delay, lambda: self.leave_soon(code))

    def leave_soon(self, code: CloseCode, *, within: float = 0) -> None:
        """End the connection, once; at a random moment of the next *within* seconds."""
        if within:
            self.back_within = connections.return_seconds(within)
            self.call_later("leave", spread(within), code)
        elif not self._is_leaving:
            self._is_leaving = True
            self._spawn(self._leave(code))

    async def _leave(self, code: CloseCode) -> None:
        await self.leave(code)
        # A client that reads nothing would hold the server back here for ever, and one
        # that has vanished for as long as the server waits for its goodbye.
        if self._abort is not None:
            pause = 0 if code is CloseCode.TOO_SLOW else LAST_CLOSES_SECONDS
            asyncio.get_running_loop().call_later(pause, self._abort)
        if self._task is not None:
            self._task.cancel()

    def _leave_server(self) -> None:
        window = get_settings().drain_seconds
        self.leave_soon(CloseCode.SERVER_LEAVING, within=window)

    async def _get_again(self, stream: Stream) -> Stream:
        try:
            return await run(_find_again, stream)
        except Exception:
            self.unsubscribe(stream.sid)
            raise

    def _open_outbox(self) -> Outbox:
        extensions: Mapping[str, Any] = self.scope.get("extensions") or {}
        frame_path = extensions.get(FRAME_EXTENSION, {})
        self._abort: Callable[[], None] | None = frame_path.get("abort")
        frame_path["leave"] = self._leave_server
        frame_path["take"] = self.take
        outbox = Outbox(
            f"{_PROCESS}.{next(_numbers)}",
            self.encoder,
            send=self._send,
            write=frame_path.get("write"),
            on_stuck=lambda: self.leave_soon(CloseCode.TOO_SLOW),
        )
        frame_path["writable"] = outbox.set_writable
        return outbox

    def _has_allowed_origin(self) -> bool:
        allowed = get_settings().allowed_origins
        origin = dict(self.scope["headers"]).get(b"origin", b"").decode("latin-1")
        return not allowed or not origin or origin in allowed

    def _watch_token(self, identity: Identity) -> None:
        left = identity.expires_at - time.time()
        self.call_later("token", left, CloseCode.TOKEN_EXPIRED)
        warning = left - ABOUT_TO_EXPIRE_SECONDS
        self._timers.set("warning", warning, self.tell_token_about_to_expire)

    def _keep_alive(self) -> None:
        interval = get_settings().keepalive_seconds
        self._timers.set("alive", interval, self._keep_alive)
        if self.identity is not None and not has_key(self.identity):
            self.leave_soon(CloseCode.TOKEN_INVALID)
        elif self._heard < time.monotonic() - interval:
            self.outbox.ping()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        self._timers.clear()
        connections.discard(self)
        self.hub.forget(self.outbox)
        self.outbox.discard()
        if self.service is not None:
            announce_endpoint("disconnected", self.service, self.cause)


def to_error(exception: Exception) -> SyncError:
    """Return the error that answers a frame; what nobody foresaw is logged, too."""
    if isinstance(exception, SyncError):
        return exception
    logger.error("a frame failed", exc_info=exception)
    is_database_away = isinstance(exception, (OperationalError, InterfaceError))
    return ServiceUnavailable() if is_database_away else InternalError()


def _expiry(stream: Stream) -> float | None:
    return stream.date_expires.timestamp() if stream.date_expires else None


async def run(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a synchronous operation in a thread; the one bridge of the consumers.

    Not on Channels' one thread for all sockets: there, one slow database call would
    hold up every other connection.
    """
    call = database_sync_to_async(operation, thread_sensitive=False)
    return await call(*args, **kwargs)


def _find_again(stream: Stream) -> Stream:
    # In the thread, since the Stream may not have loaded its Service yet.
    return operations.find_stream(stream.service, stream.sid)
