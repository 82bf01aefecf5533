"""Outbox: what waits for one connection, bounded in frames, bytes and time.

A publisher never waits for a slow subscriber. A connection that reads too slowly loses
its own oldest Messages, is told how many, and is closed when it takes nothing at all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sync_streams.conf import get_settings
from sync_streams.delivery.counters import counters

from .backlog import Backlog
from .flow_control import Credit
from .frames import Encoder, Frame

logger = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]
WriteFrame = Callable[[bytes], object]
"""Hands encoded frames to the transport, which takes them without waiting."""

LAST_WORDS_SECONDS = 1
"""Time that a closing connection has to take what is left for it."""


class Outbox(Credit):
    """The outbound side of one connection."""

    __slots__ = (
        "_backlog",
        "_is_closing",
        "_is_ending",
        "_is_writable",
        "_on_stuck",
        "_send",
        "_write",
        "_writer",
        "connection_id",
        "direct",
        "encoder",
        "streams",
    )

    def __init__(
        self,
        connection_id: str,
        encoder: Encoder,
        *,
        send: Send,
        write: WriteFrame | None,
        on_stuck: Callable[[], None],
    ) -> None:
        """Make an empty outbox.

        Args:
            connection_id: names the connection among all processes.
            encoder: the connection's protocol.
            send: ASGI's send.
            write: the server's way around ASGI, if it offers one; open while
                :meth:`set_writable` says so.
            on_stuck: called once, when the client has taken nothing for
                ``stuck_timeout_seconds``, or does not read what it asks for.
        """
        super().__init__(get_settings())
        self.connection_id = connection_id
        self.encoder = encoder
        self.streams: set[str] = set()
        """SIDs of the Streams that the connection is subscribed to; the hub's."""
        self._send, self._write, self._on_stuck = send, write, on_stuck
        self._backlog = Backlog(self._limits)
        self._writer: asyncio.Task[None] | None = None
        self.direct: WriteFrame | None = None
        """Way to the socket while nothing waits and nothing is in the way: whoever
        takes it calls :meth:`note_sent`; or, if no answer is asked for, adds to
        :attr:`sent`, up to :attr:`check_at`."""
        self._is_ending = self._is_closing = self._is_writable = False

    @property
    def dropped(self) -> int:
        """Messages that this connection has lost."""
        return self._backlog.dropped

    def put(self, frame: Frame) -> None:
        """Send a frame now if that needs no waiting, or queue it."""
        if not self._is_ending:
            self._add(frame)

    def record_gap(self, stream_sid: str) -> None:
        """Take note of a Message that was dropped before it got here."""
        self._backlog.record_gap(stream_sid)
        self._set_direct()

    def forget(self, stream_sid: str) -> None:
        """Tell no more of what was dropped of a Stream: the client has left it."""
        self.streams.discard(stream_sid)
        self._backlog.forget_gap(stream_sid)
        self._set_direct()

    def acknowledge(self, ack_id: str = "") -> bool:
        """Take the client's answer to a frame that asks for it.

        Args:
            ack_id: names the frame, if the protocol does.

        Returns:
            Whether it was due; one that was not opens nothing.
        """
        before = self.acknowledgements.acknowledged
        if not self.acknowledgements.take(ack_id):
            return False
        counters.acknowledged += self.acknowledgements.acknowledged - before
        self._is_asking = False
        self._set_check()
        if self.direct is None:
            self._wake()
            self._set_direct()
        return True

    def ping(self) -> None:
        """Ask the client to answer, unless an answer is due already."""
        if self.acknowledgements.are_due or self._is_asking or self._is_ending:
            return
        self._is_asking = True
        frame = self.encoder.ping()
        self._set_check()
        if self.direct is not None:
            self.direct(frame.wire)
            self.note_sent(frame)
            return
        # In front of what waits: behind it, the ping might never fit in flight.
        self._backlog.put_first(frame)
        self._wake()

    def set_writable(self, is_writable: bool) -> None:
        """Take note whether the server's way around ASGI is open."""
        self._is_writable = is_writable
        self._set_direct()

    def note_sent(self, *frames: Frame) -> None:
        """Count frames that are on their way, and the acknowledgements they await."""
        was_due = self.acknowledgements.are_due
        for frame in frames:
            self._count(frame)
        if self.acknowledgements.are_due and not was_due:
            self._set_check()
            self._watch()
        if self.sent > self.check_at:
            self.ping()
            self._set_direct()

    def give_up(self) -> None:
        """End the connection: it takes nothing any more."""
        if not self._is_ending:
            counters.closed_as_stuck += 1
            self._log_stuck()
            self._take_no_more()
            self._on_stuck()

    async def flush(self) -> None:
        """Wait until everything is sent that could be."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def close(self, *last: Frame, code: int = 1000) -> None:
        """Send what waits, the *last* frames and a close, as far as a second allows."""
        self._is_ending = self._is_closing = True
        self.direct = None
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                for frame in last:
                    self._add(frame)
                await self.flush()
                self.discard()
                await self._send({"type": "websocket.close", "code": int(code)})
        self.discard()

    def discard(self) -> None:
        """Drop what waits and take nothing more."""
        self._take_no_more()
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.cancel()

    def _add(self, frame: Frame) -> None:
        if self.direct is not None:
            self.direct(frame.wire)
            self.note_sent(frame)
            return
        self._backlog.append(frame)
        if self._backlog.is_overfull:
            self.give_up()
        self._wake()

    def _set_direct(self) -> None:
        is_busy = self._writer or self._is_ending or not self._backlog.is_even
        is_free = self._is_writable and not is_busy and self._has_room
        self.direct = self._write if is_free else None

    @property
    def _is_owing(self) -> bool:
        is_waiting = (
            self._backlog or self.acknowledgements.are_due or self._writer is not None
        )
        return bool(is_waiting) and not self._is_ending

    @property
    def _may_write(self) -> bool:
        # The last words do not wait for credit: nothing comes after them.
        return bool(self._backlog) and (self._is_closing or self._has_room)

    def _wake(self) -> None:
        if self._backlog and self._writer is None:
            if self._may_write:
                self._writer = asyncio.ensure_future(self._drain())
            self._set_direct()
            self._watch()

    async def _drain(self) -> None:
        try:
            while self._may_write:
                frame = self._backlog.take(self.encoder)
                # First: on some servers the answer is quicker than the call's return.
                self.note_sent(frame)
                await self._send(frame.event)
        except OSError:
            # The client is gone; the consumer hears of it by ``websocket.disconnect``.
            self._take_no_more()
        finally:
            self._writer = None
            self._set_direct()

    def _log_stuck(self) -> None:
        acknowledgements = self.acknowledgements
        logger.info(
            "connection %s takes nothing any more: sent %d bytes, read %d; "
            "%d of %d Messages acknowledged, %d dropped; last round trip %.3f s",
            *(self.connection_id, self.sent, acknowledgements.read),
            *(
                acknowledgements.acknowledged,
                acknowledgements.asked,
                self.dropped,
                acknowledgements.seconds,
            ),
        )

    def _take_no_more(self) -> None:
        self._is_ending = True
        self.direct = None
        self._backlog.clear()
