"""The Twilsock consumer: one method for each kind of frame that the SDKs send.

See ``docs/wire-twilsock.md``.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from sync_streams.conf import get_settings
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.frames import WebSocketFrame
from sync_streams.connections.subscriber import (
    SubscriberConsumer,
    refusal_code,
    to_error,
)
from sync_streams.delivery.counters import counters
from sync_streams.errors import (
    AuthenticationFailed,
    DataTooLarge,
    InvalidParameter,
    SyncError,
)

from . import frames, requests, sessions, tunnel
from .encoder import ENCODERS, new_frame_id
from .events import NEWEST_VERSION
from .frames import FrameError, Status
from .requests import Call, TunnelReply

REFUSED_SECONDS = 0.5
"""Time between a rejected ``init`` and the close of its socket: an SDK whose socket
closes at once mistakes the rejection for a network failure and retries forever."""

LAST_WORDS = {
    CloseCode.PROTOCOL_VIOLATED: Status(
        code=406,
        text="NOT_ACCEPTABLE_MESSAGE",
        description="The frame cannot be read",
        error_code=51214,
    ),
    CloseCode.DISCONNECTED: Status(
        code=406, text="DISCONNECTED", description="Ended by an operator"
    ),
}
"""Status sent before the socket is closed. An SDK does not reconnect after a 406; after
any other close it does, and ``init`` decides whether it may."""

UNANSWERED = frozenset({"close", "reply", "telemetry.v1"})
"""Methods whose frames never get a reply."""


class TwilsockConsumer(SubscriberConsumer):
    """A connection of an unmodified ``twilio-sync`` SDK."""

    encoder = ENCODERS[NEWEST_VERSION]
    transport = "twilsock"
    protocol_name = "Twilsock"

    async def receive_frame(self, text: str | None, data: bytes | None) -> None:
        """Handle one frame; one that cannot be decoded closes the connection."""
        try:
            if data is None:
                raise FrameError("Text frames are not understood")
            frame = frames.decode(data)
        except FrameError:
            self.close_soon(CloseCode.PROTOCOL_VIOLATED)
        else:
            await self._answer(frame, len(data))

    def take_acknowledgement(self, data: bytes, is_text: bool) -> bool:
        """Take an expected acknowledgement.

        They are as frequent as deliveries, so they are not parsed as JSON and do not
        count towards the rate limit.
        """
        ack_id = None if is_text else frames.ack_id(data)
        return ack_id is not None and self.outbox.acknowledge(ack_id)

    def answer_now(self, data: bytes, is_text: bool) -> bool:
        """Answer, or start to publish, in the time slice in which the frame arrives."""
        if is_text or len(data) > get_settings().max_frame_bytes:
            return False
        try:
            frame = frames.decode(data)
        except FrameError:
            return False
        del data  # error reports show variables; an access token may be in it
        answer = AT_ONCE.get(frame.method)
        try:
            return answer is not None and answer(self, frame)
        except Exception as exception:
            self._refuse(frame, to_error(exception))
            return True

    async def init(self, frame: frames.Frame) -> None:
        """Authenticate the connection with an access token."""
        if self.identity is not None:
            raise InvalidParameter("Already initialised")
        await self.authenticate(frame.header.get("token"))
        self._welcome(frame)

    def init_now(self, frame: frames.Frame) -> bool:
        """Authenticate the connection, if nothing has to be waited for."""
        if self.identity is not None:
            return False
        identity = self.authenticate_now(frame.header.get("token"))
        if identity is not None:
            self._welcome(frame)
        return identity is not None

    async def update(self, frame: frames.Frame) -> None:
        """Renew the access token in place."""
        await self.renew(frame.header.get("token"))
        self._send_data(frames.reply(frame.id))

    async def message(self, frame: frames.Frame) -> None:
        """Handle a tunnelled request."""
        if self.service is None:
            raise AuthenticationFailed("The first frame must be init")
        call = Call(requests.read_request(frame), self, self.service)
        self._send_reply(frame, await tunnel.answer(call))

    def message_now(self, frame: frames.Frame) -> bool:
        """Start a tunnelled request, if nothing has to be waited for before."""
        if self.service is None:
            return False
        call = Call(requests.read_request(frame), self, self.service)
        return tunnel.start(call, partial(self._send_reply, frame))

    async def acknowledge(self, frame: frames.Frame) -> None:
        """Take an acknowledgement that is unexpected or not in the usual form."""
        if not self.outbox.acknowledge(frame.id):
            counters.unasked += 1

    async def close(self, frame: frames.Frame) -> None:
        """Close at the client's request."""
        await self.outbox.close()
        self.abort_in()

    async def ignore(self, frame: frames.Frame) -> None:
        """Ignore a frame that this server has no use for."""

    async def accept(self, frame: frames.Frame) -> None:
        """Confirm a request of old SDKs that has no effect here."""
        self._send_data(frames.reply(frame.id))

    def tell_token_about_to_expire(self) -> None:
        """Warn the client that its token is about to expire."""
        frame_id = new_frame_id()
        data = frames.client_update(frame_id, "token_about_to_expire")
        self.outbox.put(WebSocketFrame(data, ack_id=frame_id))

    async def close_with(self, code: CloseCode) -> None:
        """Close; without a notice if the client may return, so it returns sooner."""
        last = []
        if code in LAST_WORDS:
            last = [frames.close(new_frame_id(), LAST_WORDS[code])]
        elif self.reconnect_window:
            last = [sessions.offload(new_frame_id(), self.reconnect_window)]
        await self.outbox.close(*map(WebSocketFrame, last), code=code)

    async def _answer(self, frame: frames.Frame, size: int) -> None:
        try:
            self.count_frame()
            if size > get_settings().max_frame_bytes:
                # Not a violation of the protocol, after which an SDK never returns.
                raise DataTooLarge
            await _handler(frame)(self, frame)
        except Exception as exception:
            self._refuse(frame, to_error(exception))

    def _welcome(self, frame: frames.Frame) -> None:
        self.call_client(sessions.client_of(frame))
        self._send_data(sessions.welcome(frame))

    def _refuse(self, frame: frames.Frame, error: SyncError) -> None:
        if frame.method == "message" and self.identity is not None:
            self._send_reply(frame, requests.refuse(error))
        elif frame.method not in UNANSWERED:
            self._send_data(sessions.refuse(frame, error))
        if frame.method == "init" and self.identity is None:
            self.call_later("refused", REFUSED_SECONDS, refusal_code(error))

    def _send_reply(self, frame: frames.Frame, answer: TunnelReply) -> None:
        data = frames.answer(frame.id, answer.status, answer.body)
        self.outbox.put(WebSocketFrame(data))

    def _send_data(self, data: bytes) -> None:
        self.outbox.put(WebSocketFrame(data))


Handler = Callable[[TwilsockConsumer, frames.Frame], Awaitable[None]]

HANDLERS: dict[str, Handler] = {
    "init": TwilsockConsumer.init,
    "update": TwilsockConsumer.update,
    "message": TwilsockConsumer.message,
    "reply": TwilsockConsumer.acknowledge,
    "close": TwilsockConsumer.close,
    "telemetry.v1": TwilsockConsumer.ignore,
    "put_notification_ctx": TwilsockConsumer.accept,
    "delete_notification_ctx": TwilsockConsumer.accept,
}

AT_ONCE: dict[str, Callable[[TwilsockConsumer, frames.Frame], bool]] = {
    "init": TwilsockConsumer.init_now,
    "message": TwilsockConsumer.message_now,
}
"""Methods for frames that usually need no waiting; each returns whether it was
taken."""


def _handler(frame: frames.Frame) -> Handler:
    handler = HANDLERS.get(frame.method)
    if handler is None:
        raise InvalidParameter("Unknown method of frame")
    return handler
