"""One event stream: its recipient, its events, and how it is closed."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from secrets import token_hex
from typing import Any

from sync_streams.conf import get_settings
from sync_streams.connections.bookkeeping import (
    MAX_CLIENT_LENGTH,
    note_closed,
    note_opened,
    note_recipient,
)
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.departure import departure
from sync_streams.connections.frame_path import HTTP_EXTENSION, HttpPath
from sync_streams.connections.registry import connections, jitter
from sync_streams.connections.subscribing import subscribe
from sync_streams.connections.timers import Timers
from sync_streams.delivery.hub import get_hub
from sync_streams.delivery.outbox.frames import Writer
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.delivery.tasks import Tasks
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.announcements import EndpointChange, announce_endpoint
from sync_streams.tokens import Identity

from .encoder import SseEncoder, SseFrame, tell

RECONNECT_SECONDS = 2
"""Seconds over which reconnecting clients are spread."""

AWAY_SECONDS = 86_400
"""``retry`` for a client that must not return: EventSource cannot be told to stop, and
would reconnect within seconds after an operator has disconnected it."""

_PROCESS = token_hex(8)
_numbers = count()


class EventStream:
    """A connection that only sends."""

    transport = "sse"
    protocol_name = "Server-Sent Events"

    def __init__(
        self,
        scope: Mapping[str, Any],
        encoder: SseEncoder,
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
        self.identity = identity
        self.service = service
        self.identity_name = identity.name if identity else name
        self.since = time.time()
        agent: bytes = dict(scope["headers"]).get(b"user-agent", b"")
        self.client = agent[:MAX_CLIENT_LENGTH].decode("latin-1")
        self.address = str((scope.get("client") or ("",))[0])
        extensions: Mapping[str, Any] = scope.get("extensions") or {}
        self._path: HttpPath | None = extensions.get(HTTP_EXTENSION)
        self._is_open = False
        self._closed_with: CloseCode | None = None
        self._counted: list[tuple[str, ...]] = []
        self._sent_at_last_look = 0
        self._handoff = _Handoff()
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
        connection_id = self.outbox.connection_id
        return Actor(
            self.identity_name, connection_id, is_read_only=True, transport="sse"
        )

    async def subscribe(self, streams: Sequence[Stream], *, has_missed: bool) -> None:
        """Subscribe to Streams.

        Args:
            streams: the Streams.
            has_missed: the client is reconnecting and has missed Messages meanwhile.

        Raises:
            SyncError: as :func:`~sync_streams.connections.subscribing.subscribe`, or
                20429: the process accepts no more connections for now.
        """
        connections.accept_newcomer()
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
            yield f"retry: {_retry()}\n\n".encode()
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

    def _closing(self, code: CloseCode) -> SseFrame:
        # A draining process already spreads its closes over the window.
        is_spread = code is CloseCode.GOING_AWAY
        window = max(self._reconnect_window, 0 if is_spread else RECONNECT_SECONDS)
        pause = round(jitter(window), 1) if code.may_reconnect else None
        said = {"code": int(code), "reason": code.reason, "reconnect_after": pause}
        retry = round((AWAY_SECONDS if pause is None else pause) * 1000)
        return tell("closing", said, retry=retry)

    def _open(self) -> None:
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


class _Handoff:
    """Passes an outbox's data to the response, one piece at a time."""

    def __init__(self) -> None:
        self._data: bytes | None = None
        self._has_ended = False
        self._changed = asyncio.Event()
        self._taken: asyncio.Future[None] | None = None

    async def send(self, data: bytes) -> None:
        """Pass on a piece and wait until the server has taken it."""
        if self._has_ended:
            raise ConnectionResetError
        self._data = data
        self._taken = asyncio.get_running_loop().create_future()
        self._changed.set()
        await self._taken

    async def close(self, _: int) -> None:
        """End the response."""
        self.end()

    def end(self) -> None:
        """End the response after the data passed on so far."""
        self._has_ended = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            data, self._data = self._data, None
            if data is not None:
                yield data
                if self._taken is not None and not self._taken.done():
                    self._taken.set_result(None)
            if self._has_ended and self._data is None:
                return


def _retry() -> int:
    return 1000 + round(jitter(RECONNECT_SECONDS) * 1000)
