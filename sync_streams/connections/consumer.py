"""Base of the socket consumers: a socket's lifecycle, from the handshake to the end.

Identity and subscriptions are in ``subscriber``. See
https://channels.readthedocs.io/en/stable/topics/consumers.html.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from sync_streams.conf import get_settings
from sync_streams.delivery.outbox.frames import Encoder, Writer
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.delivery.tasks import Tasks
from sync_streams.errors import TooManyRequests

from .close_codes import CloseCode
from .departure import departure
from .frame_path import FRAME_EXTENSION, FramePath
from .inbound import INBOUND_EXTENSION, InboundBudget
from .registry import LAST_CLOSES_SECONDS, connections, jitter
from .termination import termination
from .timers import Timers

FRAME_RATE_WINDOW_SECONDS = 2

_prefix = token_hex(8)
_numbers = count()


class State(Enum):
    """State of a connection."""

    CONNECTING = auto()
    """Its client has not presented an access token yet."""
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


def new_prefix() -> None:
    """Make connection ids in a forked process differ from its parent's."""
    global _prefix
    _prefix = token_hex(8)


class SocketConsumer(AsyncConsumer):
    """One socket: its frames in both directions, and how it is closed."""

    encoder: ClassVar[Encoder]
    """Encodes events on Streams for the protocol."""

    reconnect_window = 0.0
    """Seconds over which clients closed together spread reconnects; 0: at once."""

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Serve the connection.

        Unlike the base class, this opens no channel: the process's hub has one for all
        connections.
        """
        self.scope, self._send = scope, send
        self.begin()
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except asyncio.CancelledError:
            if self.state is not State.CLOSING:
                await self._say_goodbye()
                raise
        finally:
            self.end()

    def begin(self) -> None:
        """Set up the state of a new connection."""
        self.timers = Timers()
        self._tasks = Tasks()
        self._task = asyncio.current_task()
        self._frames = self._max_frames = 0
        self._window_ends = self._last_frame = 0.0
        self.state = State.CONNECTING
        self.closed_with: CloseCode | None = None
        self._path: FramePath | None = None
        self._is_renewing = False
        self.outbox = self._open_outbox()

    def end(self) -> None:
        """Release everything: the socket is closed."""
        self.state = State.CLOSED
        self.timers.clear()
        self.outbox.discard()
        if self._path is not None:
            self._path.release()

    async def dispatch(self, message: Any) -> None:
        """Call the method that the ASGI event's type names.

        Unlike the base class, this does not close old database connections: that costs
        a thread hop for each frame (channels/consumer.py, channels/db.py), and is not
        needed, since ``databases.run`` closes the connection its operation used.
        """
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_connect(self, message: Mapping[str, Any]) -> None:
        """Accept the socket, unless its page's origin is not allowed."""
        if not self._has_allowed_origin():
            await self._send({"type": "websocket.close"})
            return
        await self._send(
            {"type": "websocket.accept", "subprotocol": self.subprotocol()}
        )
        self.call_later(
            "connect", get_settings().connect_timeout_seconds, CloseCode.NOT_CONNECTED
        )

    def is_silent_for(self, seconds: float) -> bool:
        """Return whether the client has sent nothing for so many seconds."""
        return self._last_frame < time.monotonic() - seconds

    async def websocket_receive(self, message: Mapping[str, Any]) -> None:
        """Process a frame, unless the connection is closing."""
        if self.state is State.CLOSING:
            return
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        content = data or b"" if text is None else text.encode(errors="surrogatepass")
        # A server with a frame path has already tried :meth:`take` with a request.
        if self.take(content, text is not None, self._path is None):
            # A server may hold many frames of this client; others must not wait.
            await asyncio.sleep(0)
        else:
            await self.receive_frame(text, data)

    async def websocket_disconnect(self, message: Mapping[str, Any]) -> None:
        """Stop serving the connection, which the server may have closed itself."""
        if self.inbound.is_exceeded and self.closed_with is None:
            self.closed_with = CloseCode.TOO_MANY_FRAMES
        raise StopConsumer

    async def receive_frame(self, text: str | None, data: bytes | None) -> None:
        """Answer one frame from the client; implemented by the adapter."""
        raise NotImplementedError

    def take(self, data: bytes, is_text: bool, is_next: bool) -> bool:
        """Process a frame as soon as it arrives, if that can start without waiting.

        Args:
            data: its content.
            is_text: whether it is text.
            is_next: whether :meth:`websocket_receive` would be called with it now. An
                acknowledgement may come before others, a request may not.

        Returns:
            Whether the frame is answered or will be; if not, see :meth:`answer_now`.
        """
        self._last_frame = time.monotonic()
        if self.take_acknowledgement(data, is_text):
            self.inbound.refund()
            return True
        if not is_next or self.state is State.CLOSING or not self._has_frames_left():
            return False
        is_answered = self.answer_now(data, is_text)
        self._frames += is_answered
        return is_answered

    def take_acknowledgement(self, data: bytes, is_text: bool) -> bool:
        """Process an expected acknowledgement; implemented by the adapter.

        Returns:
            Whether the frame is one in the form that most clients send.
        """
        return False

    def answer_now(self, data: bytes, is_text: bool) -> bool:
        """Answer a request, or begin to; implemented by the adapter.

        Returns:
            Whether the frame is answered or will be. If not, nothing was sent, and what
            was done, some of several subscriptions at most, may be repeated.
        """
        return False

    def subprotocol(self) -> str | None:
        """Return the subprotocol to accept, if any."""
        return None

    async def close_with(self, code: CloseCode) -> None:
        """Close the connection and say why; implemented by the adapter."""
        raise NotImplementedError

    def count_frame(self) -> None:
        """Count an inbound frame against the connection's rate.

        Raises:
            TooManyRequests: 20429, more than ``max_frames_per_second``. A connection
                that sends twice as many is closed.
        """
        has_frames_left = self._has_frames_left()
        self._frames += 1
        if self._frames > 2 * self._max_frames:
            self.close_soon(CloseCode.TOO_MANY_FRAMES)
        if not has_frames_left:
            raise TooManyRequests

    def _has_frames_left(self) -> bool:
        now = time.monotonic()
        if now >= self._window_ends:
            self._frames, self._window_ends = 0, now + FRAME_RATE_WINDOW_SECONDS
        per_second = get_settings().max_frames_per_second
        self._max_frames = per_second * FRAME_RATE_WINDOW_SECONDS
        return self._frames < self._max_frames

    def call_later(self, name: str, delay: float, code: CloseCode) -> None:
        """Close after *delay* seconds, unless the named timer is set again."""
        self.timers.set(name, delay, lambda: self.close_soon(code))

    def close_soon(
        self, code: CloseCode, *, within: float = 0, reconnect_window: float = 0
    ) -> None:
        """Close the connection, once, at a random time in the next *within* seconds."""
        if within:
            self.reconnect_window = reconnect_window
            self.call_later("close", jitter(within), code)
        elif self.state in {State.CONNECTING, State.OPEN}:
            self.state, self.closed_with = State.CLOSING, code
            self._tasks.spawn(self._close(code))

    def _renew(self) -> None:
        # Only a new connection tells its application that it missed something.
        if not self._is_renewing:
            self._is_renewing = True
            within = get_settings().drain_seconds
            window = connections.reconnect_window(within)
            code = CloseCode.GOING_AWAY
            self.close_soon(code, within=within, reconnect_window=window)

    async def _close(self, code: CloseCode) -> None:
        await self.close_with(code)
        self.abort_in(0 if code is CloseCode.TOO_SLOW else LAST_CLOSES_SECONDS)
        if self._task is not None:
            self._task.cancel()

    def abort_in(self, seconds: float = LAST_CLOSES_SECONDS) -> None:
        """Cut the client off in so many seconds, as it has been sent a close.

        Otherwise one that reads nothing would stay for ever, and one that has vanished
        until the server stops waiting for its close frame.
        """
        if self._abort is not None:
            asyncio.get_running_loop().call_later(seconds, self._abort)

    async def _say_goodbye(self) -> None:
        # A stopping server may cancel its applications before it closes their sockets.
        if self.state is State.OPEN:
            self.state = State.CLOSING
            with suppress(Exception):
                await self.close_with(CloseCode.GOING_AWAY)

    def _open_outbox(self) -> Outbox:
        extensions: Mapping[str, Any] = self.scope.get("extensions") or {}
        self.inbound = extensions.get(INBOUND_EXTENSION) or InboundBudget()
        self._path = path = extensions.get(FRAME_EXTENSION)
        self._abort = path.abort if path else None
        write = path.write if path else None
        outbox = Outbox(
            f"{_prefix}.{next(_numbers)}",
            self.encoder,
            Writer(send=self._send, close=self._send_close, write=write),
            on_stuck=lambda: self.close_soon(CloseCode.TOO_SLOW),
            on_untold=self._renew,
        )
        if path is None:
            # Such a server does not notify us when it stops.
            termination.drain_first()
        else:
            path.close = departure.begin
            path.take = self.take
            path.set_writable = outbox.set_writable
        return outbox

    async def _send_close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})

    def _has_allowed_origin(self) -> bool:
        allowed = get_settings().allowed_origins
        origin = dict(self.scope["headers"]).get(b"origin", b"").decode("latin-1")
        return not allowed or not origin or origin in allowed
