"""The JSON socket's consumer: one method for each type of frame."""

from collections.abc import Awaitable, Callable
from functools import partial

from sync_streams import operations
from sync_streams.cache.lookups import cached_stream
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import jitter
from sync_streams.connections.subscriber import SubscriberConsumer, to_error
from sync_streams.errors import (
    AuthenticationFailed,
    InvalidParameter,
    InvalidToken,
    SyncError,
    TooManyRequests,
    UniqueNameNotFound,
)
from sync_streams.models import Service, Stream
from sync_streams.operations.data import Message
from sync_streams.operations.databases import run
from sync_streams.tokens import Identity
from sync_streams.values.utc import from_timestamp, to_iso

from . import protocol
from .protocol import Request, RequestId

MAX_RECONNECT_SECONDS = 5
"""Reconnect window over which closed clients are spread."""


class JsonConsumer(SubscriberConsumer):
    """A connection that speaks the JSON protocol."""

    encoder = protocol.JsonEncoder()
    transport = "websocket"
    protocol_name = "JSON"

    def subprotocol(self) -> str | None:
        """Accept our subprotocol if the client offers it."""
        offered = self.scope.get("subprotocols", [])
        return protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None

    async def receive_frame(self, text: str | None, data: bytes | None) -> None:
        """Handle one frame; an error leaves the socket open."""
        request_id: RequestId = None
        try:
            self.count_frame()
            request = protocol.parse(text)
            del text  # error reports show variables; an access token may be in it
            request_id = request.id
            await self._handler(request)(self, request)
        except Exception as exception:
            self._refuse(to_error(exception), request_id)

    def take_acknowledgement(self, data: bytes, is_text: bool) -> bool:
        """Take an expected pong, if it has the form that most clients send."""
        return is_text and data == protocol.PONG and self.outbox.acknowledge()

    def answer_now(self, data: bytes, is_text: bool) -> bool:
        """Answer, or start to publish, in the time slice in which the frame arrives."""
        try:
            request = protocol.parse(data.decode() if is_text else None)
        except (SyncError, ValueError):
            return False
        del data  # error reports show variables; an access token may be in it
        answer = AT_ONCE.get(request.type)
        try:
            return answer is not None and answer(self, request)
        except Exception as exception:
            self._refuse(to_error(exception), request.id)
            return True

    async def connect(self, request: Request) -> None:
        """Authenticate the connection with an access token."""
        if self.identity is not None:
            raise InvalidParameter("Already connected")
        identity = await self.authenticate(request.fields.get("token"))
        self._tell_connected(request, identity)

    def connect_now(self, request: Request) -> bool:
        """Authenticate the connection, if that needs no waiting."""
        if self.identity is not None:
            return False
        identity = self.authenticate_now(request.fields.get("token"))
        if identity is not None:
            self._tell_connected(request, identity)
        return identity is not None

    def _tell_connected(self, request: Request, identity: Identity) -> None:
        headers = dict(self.scope["headers"])
        self.call_client(headers.get(b"user-agent", b"").decode("latin-1"))
        self._reply(
            request,
            "connected",
            identity=identity.name,
            service_sid=self._service().sid,
            expires_at=to_iso(from_timestamp(identity.expires_at)),
        )

    async def token(self, request: Request) -> None:
        """Renew the access token in place."""
        self._service()
        identity = await self.renew(request.fields.get("token"))
        expires_at = to_iso(from_timestamp(identity.expires_at))
        self._reply(request, "token_updated", expires_at=expires_at)

    async def subscribe_stream(self, request: Request) -> None:
        """Subscribe to a Stream, creating it if requested."""
        may_create = request.fields.get("mode") == "open_or_create"
        stream = await self._open(request.text("stream"), may_create=may_create)
        await self.subscribe(stream)
        self._tell_subscribed(request, stream)

    def subscribe_stream_now(self, request: Request) -> bool:
        """Subscribe to a Stream that this process already receives."""
        if self.service is None:
            return False
        stream = cached_stream(self.service.sid, request.text("stream"))
        if stream is None or not self.subscribe_now(stream):
            return False
        self._tell_subscribed(request, stream)
        return True

    async def unsubscribe_stream(self, request: Request) -> None:
        """Unsubscribe from a Stream."""
        ref = request.text("stream")
        stream = await operations.afind_stream(self._service(), ref)
        if stream.sid not in self.outbox.streams:
            # Only clients allowed to fetch the Stream learn its SID.
            await run(operations.open_stream, self._service(), ref, actor=self.actor)
        self.unsubscribe(stream.sid)
        self._reply(request, "unsubscribed", stream_sid=stream.sid)

    async def publish(self, request: Request) -> None:
        """Publish a Message."""
        message = await operations.apublish(
            self._service(),
            request.text("stream"),
            request.fields.get("data"),
            actor=self.actor,
        )
        self._tell_outcome(request, message, None)

    async def ping(self, request: Request) -> None:
        """Answer the client's ping."""
        self._reply(request, "pong")

    async def pong(self, request: Request) -> None:
        """Take the answer to the server's ping."""
        self.outbox.acknowledge()

    def tell_token_about_to_expire(self) -> None:
        """Warn the client that its token is about to expire."""
        self.outbox.put(protocol.reply("token_about_to_expire"))

    async def close_with(self, code: CloseCode) -> None:
        """Tell the client why and when to reconnect, then close."""
        # A draining process already spreads its closes over the window.
        is_spread = code is CloseCode.GOING_AWAY
        least = 0 if is_spread else MAX_RECONNECT_SECONDS
        pause = round(jitter(max(self.reconnect_window, least)), 1)
        closing = protocol.reply(
            "closing",
            code=int(code),
            reason=code.reason,
            reconnect_after=pause if code.may_reconnect else None,
        )
        await self.outbox.close(closing, code=code)

    def publish_now(self, request: Request) -> bool:
        """Start to publish a Message, if that needs no waiting first."""
        return self.service is not None and operations.start_publish(
            self.service,
            request.text("stream"),
            request.fields.get("data"),
            partial(self._tell_outcome, request),
            actor=self.actor,
        )

    def _tell_subscribed(self, request: Request, stream: Stream) -> None:
        described = protocol.describe_stream(stream)
        self._reply(request, "subscribed", stream=described)

    def _tell_outcome(
        self, request: Request, message: Message, error: Exception | None
    ) -> None:
        if error is None:
            self.outbox.put(protocol.published(message, request.id))
        else:
            self._refuse(to_error(error), request.id)

    def _refuse(self, error: SyncError, request_id: RequestId) -> None:
        self.outbox.put(protocol.error(error, request_id))
        if self.identity is None:
            self._turn_away(error)

    def _turn_away(self, error: SyncError) -> None:
        if isinstance(error, InvalidToken):
            self.close_soon(CloseCode.TOKEN_INVALID)
        elif isinstance(error, TooManyRequests):
            self.close_soon(CloseCode.SERVER_BUSY)

    def _handler(self, request: Request) -> "Handler":
        if request.fault is not None:
            raise request.fault
        if not request.type:
            raise InvalidParameter(protocol.NO_FRAME)
        handler = HANDLERS.get(request.type)
        if handler is None:
            raise InvalidParameter("Unknown type of frame")
        return handler

    def _service(self) -> Service:
        if self.service is None:
            raise AuthenticationFailed("Connect first")
        return self.service

    async def _open(self, ref: str, *, may_create: bool) -> Stream:
        service = self._service()
        try:
            return await operations.afind_stream(service, ref)
        except UniqueNameNotFound:
            if not may_create:
                raise
        return await run(operations.obtain_stream, service, ref, actor=self.actor)

    def _reply(self, request: Request, type_: str, **fields: object) -> None:
        self.outbox.put(protocol.reply(type_, request.id, **fields))


Handler = Callable[[JsonConsumer, Request], Awaitable[None]]

HANDLERS: dict[str, Handler] = {
    "connect": JsonConsumer.connect,
    "token": JsonConsumer.token,
    "subscribe": JsonConsumer.subscribe_stream,
    "unsubscribe": JsonConsumer.unsubscribe_stream,
    "publish": JsonConsumer.publish,
    "ping": JsonConsumer.ping,
    "pong": JsonConsumer.pong,
}

AT_ONCE: dict[str, Callable[[JsonConsumer, Request], bool]] = {
    "connect": JsonConsumer.connect_now,
    "subscribe": JsonConsumer.subscribe_stream_now,
    "publish": JsonConsumer.publish_now,
}
"""Methods for requests that usually need no waiting; each returns whether it was
taken."""
