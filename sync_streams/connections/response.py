"""A live response over HTTP: its recipient, its events, and how it is closed.

A transport brings only an encoder; see :mod:`sync_streams.sse`.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import count
from secrets import token_hex
from typing import Any, Protocol

from sync_streams.conf import get_settings
from sync_streams.delivery.hub import get_hub
from sync_streams.delivery.outbox.frames import Encoder, Frame, Writer
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.delivery.tasks import Tasks
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.announcements import EndpointChange, announce_endpoint
from sync_streams.tokens import Identity

from .bookkeeping import MAX_CLIENT_LENGTH, note_closed, note_opened, note_recipient
from .close_codes import CloseCode
from .departure import departure
from .frame_path import HTTP_EXTENSION, LIVE_EXTENSION, HttpPath
from .handoff import Handoff
from .registry import connections, jitter
from .subscribing import subscribe
from .timers import Timers

HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Accel-Buffering": "no",  # proxies must not buffer it
    # Compression middleware would delay events, but skips encoded responses.
    "Content-Encoding": "identity",
}
"""Headers of every live response."""

RECONNECT_SECONDS = 2
"""Seconds over which reconnecting clients are spread."""

_PROCESS = token_hex(8)
_numbers = count()


class ResponseEncoder(Encoder, Protocol):
    """Encodes a response's events; ``event`` of its frames is a part of the body."""

    transport: str
    """Name of the protocol in metrics."""

    protocol_name: str
    """Name of the protocol shown to operators."""

    def opening(self) -> bytes:
        """Encode the beginning of the body, which tells the client that it is open."""

    def closing(self, code: CloseCode, pause: float | None) -> Frame:
        """Encode the end of the body.

        Args:
            code: why the server ends it.
            pause: seconds until the client should reconnect; ``None``: never.
        """


class LiveResponse:
    """A connection that only sends."""

    def __init__(
        self,
        scope: Mapping[str, Any],
        encoder: ResponseEncoder,
        service: Service,
        *,
        identity: Identity | None = None,
        name: str = "",
    ) -> None:
        """Prepare a connection; :meth:`subscribe` and :meth:`body` start it.

        Args:
            scope: the request's ASGI scope.
            encoder: encodes its events.
            service: the Service of its Streams.
            identity: its recipient, from an access token.
            name: its recipient, from the host project; empty if unknown.
        """
        self.transport = encoder.transport
        self.protocol_name = encoder.protocol_name
        self.identity = identity
        self.service = service
        self._encoder = encoder
        self.identity_name = identity.name if identity else name
        self.since = time.time()
        agent: bytes = dict(scope["headers"]).get(b"user-agent", b"")
        self.client = agent[:MAX_CLIENT_LENGTH].decode("latin-1")
        self.address = str((scope.get("client") or ("",))[0])
        extensions: Mapping[str, Any] = scope.get("extensions") or {}
        self._path: HttpPath | None = extensions.get(HTTP_EXTENSION)
        self._go_live: Callable[[], object] | None = extensions.get(LIVE_EXTENSION)
        self._is_open = False
        self._closed_with: CloseCode | None = None
        self._counted: list[tuple[str, ...]] = []
        self._sent_at_last_look = 0
        self._handoff = Handoff()
        self._timers, self._tasks = Timers(), Tasks()
        self._reconnect_window = 0.0
        self.outbox = Outbox(
            f"{_PROCESS}.e{next(_numbers)}",
            encoder,
            Writer(
                send=self._handoff.send,
                close=self._handoff.close,
                write=self._path.write if self._path else None,
                has_flow_control=True,
            ),
            on_stuck=lambda: self.close_soon(CloseCode.TOO_SLOW),
            on_removed=self._end_if_empty,
        )

    @property
    def actor(self) -> Actor:
        """This connection as the actor of its requests."""
        if self.identity is None:  # the host project or the account may do anything
            return Actor(self.identity_name) if self.identity_name else Actor()
        return self._endpoint

    @property
    def _endpoint(self) -> Actor:
        return Actor(
            self.identity_name,
            self.outbox.connection_id,
            is_read_only=True,
            transport=self.transport,
        )

    async def subscribe(self, streams: Sequence[Stream], *, has_missed: bool) -> None:
        """Subscribe to Streams, or to none if that fails.

        Args:
            streams: the Streams.
            has_missed: the client is reconnecting and has missed Messages meanwhile.

        Raises:
            SyncError: as :func:`~sync_streams.connections.subscribing.subscribe`, or
                20429: the process accepts no more connections for now.
        """
        connections.accept_newcomer()
        try:
            await self._subscribe(streams, has_missed=has_missed)
        except BaseException:  # even if the client leaves meanwhile
            self.end()
            raise

    async def _subscribe(self, streams: Sequence[Stream], *, has_missed: bool) -> None:
        hub = get_hub()
        await hub.start()
        note_opened(self)
        self._is_open = True
        # A client may leave before anything reads the body; its end is then never seen.
        seconds = get_settings().connect_timeout_seconds
        self._timers.set("begin", seconds, self.end)
        name, identity = self.identity_name, self.identity
        self._counted = note_recipient(self, self.service, name, identity)
        self._announce("connected")
        for stream in streams:
            await subscribe(hub.subscriptions, self.outbox, stream, self.actor)
            if not self._is_open:  # it took too long, which the body tells the client
                hub.subscriptions.forget(self.outbox)
                return
        if has_missed:
            for stream in streams:
                gap = self.outbox.encoder.gap(stream.sid, None)
                if gap is not None:
                    self.outbox.put(gap)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the response's body until the connection ends."""
        if not self._is_open:  # the server took too long to begin: tell the client
            yield self._closing(CloseCode.SERVER_BUSY).event
            return
        self._timers.cancel("begin")
        try:
            yield self._encoder.opening()
            self._open()
            async for data in self._handoff:
                yield data
        finally:
            self.end()

    def end(self) -> None:
        """Release everything: the response has ended."""
        if not self._is_open:
            return
        self._is_open = False
        subscriptions = get_hub().subscriptions
        note_closed(self, subscriptions, self._counted, self._closed_with)
        self._timers.clear()
        self.outbox.discard()
        self._announce("disconnected")

    def close_soon(
        self, code: CloseCode, *, within: float = 0, reconnect_window: float = 0
    ) -> None:
        """Close the connection, once, at a random time in the next *within* seconds."""
        if within:
            self._reconnect_window = reconnect_window
            delay = jitter(within)
            self._timers.set("close", delay, lambda: self.close_soon(code))
        elif self._is_open and self._closed_with is None:
            self._closed_with = code
            self._tasks.spawn(self._close(code))

    async def _close(self, code: CloseCode) -> None:
        await self.outbox.close(self._closing(code), code=code)
        self._handoff.end()

    def _closing(self, code: CloseCode) -> Frame:
        # A draining process already spreads its closes over the window.
        is_spread = code is CloseCode.GOING_AWAY
        window = max(self._reconnect_window, 0 if is_spread else RECONNECT_SECONDS)
        pause = round(jitter(window), 1) if code.may_reconnect else None
        return self._encoder.closing(code, pause)

    def _open(self) -> None:
        if self._go_live is not None:
            self._go_live()
        if self._path is not None:
            self._path.count()
            self._path.set_writable = self.outbox.set_writable
            self._path.close = departure.begin
            self.outbox.set_writable(self._path.is_writable())
        if self.identity is not None:
            left = self.identity.expires_at - time.time()
            self._timers.set(
                "token", left, lambda: self.close_soon(CloseCode.TOKEN_EXPIRED)
            )
        interval = get_settings().keepalive_seconds
        self._timers.set("alive", interval, self._keep_alive)

    def _keep_alive(self) -> None:
        interval = get_settings().keepalive_seconds
        self._timers.set("alive", interval, self._keep_alive)
        if self.outbox.sent == self._sent_at_last_look:
            self.outbox.put(self.outbox.encoder.ping())
        self._sent_at_last_look = self.outbox.sent

    def _end_if_empty(self, _: str) -> None:
        if not self.outbox.streams:
            self._tasks.spawn(self._finish())

    async def _finish(self) -> None:
        await self.outbox.flush()
        self._handoff.end()

    def _announce(self, change: EndpointChange) -> None:
        if self.identity_name:
            announce_endpoint(change, self.service, self._endpoint)
