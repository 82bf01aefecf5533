"""Outbox: what waits for one connection, bounded in frames, bytes and time.

A publisher never waits for a subscriber. A connection that reads too slowly loses its
own oldest Messages, is told how many, and is closed when it takes nothing at all.

Servers differ in what they tell of a slow reader: uvicorn's ``send`` waits while the
transport is full, Daphne's never does (https://github.com/django/daphne/issues/170).
So the clock is what the client itself acknowledges: at most ``in_flight_max_bytes``
are out without an answer, whatever the server says.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sync_streams.conf import get_settings

from .answers import Answers
from .backlog import Backlog
from .counters import counters
from .frames import Encoder, Frame

logger = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]
WriteFrame = Callable[[bytes], object]
"""Hands encoded frames to the transport, which takes them without waiting."""

ASK_AT = 1 / 8, 3 / 8
"""Share of the credit, between these, after which a client is asked for an answer."""

LAST_WORDS_SECONDS = 1
"""Time that a closing connection has to take what is left for it."""


class Outbox:
    """The outbound side of one connection."""

    __slots__ = (
        "_backlog",
        "_is_asking",
        "_is_closing",
        "_is_ending",
        "_is_writable",
        "_limits",
        "_on_stuck",
        "_seen",
        "_send",
        "_timer",
        "_write",
        "_writer",
        "answers",
        "check_at",
        "connection_id",
        "direct",
        "encoder",
        "sent",
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
        self.connection_id = connection_id
        self.encoder = encoder
        self.streams: set[str] = set()
        """SIDs of the Streams that the connection is subscribed to; the hub's."""
        self._send, self._write, self._on_stuck = send, write, on_stuck
        self._limits = get_settings()
        self._backlog = Backlog(self._limits)
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.answers = Answers()
        """What the client has still to acknowledge, and how quick it was."""
        self.direct: WriteFrame | None = None
        """Way to the socket while nothing waits and nothing is in the way: whoever
        takes it calls :meth:`note_sent`; or, if no answer is asked for, adds to
        :attr:`sent`, up to :attr:`check_at`."""
        self.sent = 0
        """Bytes, by any way."""
        self._seen = (False, 0)
        self._is_asking = self._is_ending = self._is_closing = False
        self._is_writable = False
        self.check_at = 0
        self._set_check()

    @property
    def dropped(self) -> int:
        """Messages that this connection has lost."""
        return self._backlog.dropped

    def put(self, frame: Frame) -> None:
        """Send a frame now if that needs no waiting, or queue it."""
        if not self._is_ending:
            self._add(frame)

    def miss(self, stream_sid: str) -> None:
        """Take note of a Message that was dropped before it got here."""
        self._backlog.miss(stream_sid)
        self._set_direct()

    def acknowledge(self, ack_id: str = "") -> bool:
        """Take the client's answer to a frame that asks for it.

        Args:
            ack_id: names the frame, if the protocol does.

        Returns:
            Whether it was due; one that was not opens nothing.
        """
        before = self.answers.acknowledged
        if not self.answers.take(ack_id):
            return False
        counters.acknowledged += self.answers.acknowledged - before
        self._is_asking = False
        self._set_check()
        if self.direct is None:
            self._wake()
            self._set_direct()
        return True

    def ping(self) -> None:
        """Ask the client to answer, unless an answer is due already."""
        if self.answers.are_due or self._is_asking or self._is_ending:
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
        """Count frames that are on their way, and the answers that are due for them."""
        was_due = self.answers.are_due
        for frame in frames:
            self.sent += frame.size
            if frame.ack_id is not None:
                self.answers.expect(frame.ack_id, self.sent, frame.messages)
        if self.answers.are_due and not was_due:
            self._set_check()
            self._watch()
        if self.sent > self.check_at:
            self.check()

    def check(self) -> None:
        """Ask for an acknowledgement, or wait for it, as the credit has it."""
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
        is_free = self._is_writable and not is_busy and self._has_room()
        self.direct = self._write if is_free else None

    def _set_check(self) -> None:
        credit = self._limits.in_flight_max_bytes
        if not (self.answers.are_due or self._is_asking):
            # Connections of one Stream are sent the same and must not be asked at once:
            # thousands of answers together would hold up the next Message.
            credit = int(credit * random.uniform(*ASK_AT))  # noqa: S311 - spread
        self.check_at = self.answers.read + credit - 1

    def _has_room(self) -> bool:
        # The last words do not wait for credit: nothing comes after them.
        in_flight = self.sent - self.answers.read
        return self._is_closing or in_flight < self._limits.in_flight_max_bytes

    def _wake(self) -> None:
        if self._backlog and self._writer is None:
            if self._has_room():
                self._writer = asyncio.ensure_future(self._drain())
            self._set_direct()
            self._watch()

    async def _drain(self) -> None:
        try:
            while self._backlog and self._has_room():
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

    def _watch(self) -> None:
        if self._timer is None and not self._is_ending:
            self._seen = self._progress()
            self._timer = asyncio.get_running_loop().call_later(
                self._limits.stuck_timeout_seconds, self._look
            )

    def _look(self) -> None:
        self._timer = None
        if not self._backlog and not self.answers.are_due and self._writer is None:
            return
        if self._seen == self._progress():
            self.give_up()
        else:
            self._watch()

    def _progress(self) -> tuple[bool, int]:
        # Two clocks: one that is asked for an answer only now has made none yet.
        is_asked = self.answers.are_due
        return is_asked, self.answers.read if is_asked else self.sent

    def _log_stuck(self) -> None:
        answers = self.answers
        logger.info(
            "connection %s takes nothing any more: sent %d bytes, read %d; "
            "%d of %d Messages acknowledged, %d dropped; last round trip %.3f s",
            *(self.connection_id, self.sent, answers.read),
            *(answers.acknowledged, answers.asked, self.dropped, answers.seconds),
        )

    def _take_no_more(self) -> None:
        self._is_ending = True
        self.direct = None
        self._backlog.clear()
