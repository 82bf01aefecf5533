"""Outbox: one connection's outbound side, bounded in frames, bytes and time.

A publisher never waits for a slow subscriber. A connection that reads too slowly loses
its own oldest Messages, is told how many, and is closed if it stops reading.

Flow control: servers treat slow readers differently. uvicorn's ``send`` waits while the
transport is full, Daphne's never does (https://github.com/django/daphne/issues/170).
The outbox therefore relies on the client's own acknowledgements: at most
``in_flight_max_bytes`` are unacknowledged at a time, whatever the server does.
"""

import asyncio
import logging
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

from sync_streams.conf import get_settings
from sync_streams.delivery.counters import counters

from .acknowledgements import Acknowledgements
from .backlog import Backlog
from .frames import NOWHERE, Encoder, Frame, Writer

logger = logging.getLogger(__name__)

PING_AT = 1 / 8, 3 / 8
"""Range of the share of ``in_flight_max_bytes`` after which a client is pinged."""

LAST_FRAMES_SECONDS = 1
"""Time for a closing connection to receive its last frames."""


class State(Enum):
    """State of a connection's outbound side."""

    OPEN = auto()
    STUCK = auto()
    """The client has stopped reading; closing may still send a few last frames."""
    CLOSING = auto()
    """The last frames are being sent, without waiting for acknowledgements."""
    CLOSED = auto()


def _ignore() -> None:
    return


class Outbox:
    """The outbound side of one connection."""

    __slots__ = (
        "_backlog",
        "_is_pinging",
        "_is_writable",
        "_limits",
        "_on_stuck",
        "_on_untold",
        "_seen",
        "_sender",
        "_state",
        "_timer",
        "_writer",
        "acknowledgements",
        "check_at",
        "connection_id",
        "direct",
        "encoder",
        "is_observer",
        "on_removed",
        "sent",
        "streams",
    )

    def __init__(
        self,
        connection_id: str,
        encoder: Encoder,
        writer: Writer,
        *,
        on_stuck: Callable[[], None],
        on_removed: Callable[[str], None] | None = None,
        on_untold: Callable[[], None] | None = None,
    ) -> None:
        """Create an empty outbox.

        Args:
            connection_id: identifies the connection among all processes.
            encoder: the connection's protocol.
            writer: the connection's transport; its ``write`` is used while
                :meth:`set_writable` allows it.
            on_stuck: called once, if the client has read nothing for
                ``stuck_timeout_seconds``, or does not read replies to its requests.
            on_removed: called with the SID of each subscribed Stream that is removed,
                after the client has been told.
            on_untold: called if Messages may be lost and the protocol cannot say so.
        """
        self.on_removed = on_removed
        self.connection_id = connection_id
        self.encoder = encoder
        self.streams: set[str] = set()
        """SIDs of the Streams that the connection is subscribed to; set by the hub."""
        self.is_observer = False
        """Whether the connection is not counted as a subscriber."""
        self._limits = get_settings()
        self._writer, self._on_stuck, self._on_untold = writer, on_stuck, on_untold
        self._backlog = Backlog(self._limits)
        self._sender: asyncio.Task[None] | None = None
        self._state, self._is_writable = State.OPEN, False
        self.direct: Callable[[bytes], object] | None = None
        """Writes directly to the client, while no frame waits and writing is possible.
        Callers must call :meth:`note_sent`; or, if they request no acknowledgement, add
        to :attr:`sent`, up to :attr:`check_at`."""
        self.acknowledgements = Acknowledgements()
        """The client's outstanding acknowledgements, and its round trip."""
        self.sent = 0
        """Bytes sent, by either path."""
        self._is_pinging = False
        self._timer: asyncio.TimerHandle | None = None
        self._seen = (False, 0)
        self.check_at = 0
        """Value of :attr:`sent` up to which neither a ping nor waiting is needed."""
        self._set_check()

    @property
    def dropped(self) -> int:
        """Messages that this connection has lost."""
        return self._backlog.dropped

    @property
    def waiting(self) -> int:
        """Number of frames waiting for the client."""
        return len(self._backlog)

    @property
    def is_sending(self) -> bool:
        """Whether a task sends what waits, since it cannot be written directly."""
        return self._sender is not None

    def put(self, frame: Frame) -> None:
        """Send a frame now if that is possible without waiting; otherwise queue it."""
        if self._state is not State.OPEN:
            return
        if self.direct is None:
            self._queue(frame)
        else:
            self.direct(frame.wire)
            self.note_sent(frame)

    def record_drop(self, stream_sid: str) -> None:
        """Record a Message that was dropped before it got here, as a gap."""
        self._backlog.record_drop(stream_sid)
        self._set_direct()

    def tell_gap(self, stream_sid: str, frame: Frame) -> None:
        """Send a gap of unknown length: at once, or before the Stream's next Message.

        Args:
            stream_sid: the Stream.
            frame: the gap as the encoder writes it, with ``None`` dropped.
        """
        if self._backlog:
            # One gap covers everything lost while the client is slow.
            self._backlog.record_gap(stream_sid)
            return
        counters.gaps_told += 1
        self._backlog.forget_gap(stream_sid)
        self._set_direct()
        self.put(frame)

    def note_untold_gap(self) -> None:
        """Handle a gap of unknown length for which the protocol has no frame."""
        counters.gaps_untold += 1
        if self._on_untold is not None:
            self._on_untold()

    def forget(self, stream_sid: str) -> None:
        """Discard a Stream's gap: the client has unsubscribed."""
        self.streams.discard(stream_sid)
        self._backlog.forget_gap(stream_sid)
        self._set_direct()

    def acknowledge(self, ack_id: str = "") -> bool:
        """Process the client's acknowledgement of a frame.

        Args:
            ack_id: identifies the frame, if the protocol has ids.

        Returns:
            Whether it was expected; otherwise it is ignored.
        """
        before = self.acknowledgements.acknowledged
        if not self.acknowledgements.take(ack_id):
            return False
        counters.acknowledged += self.acknowledgements.acknowledged - before
        self._is_pinging = False
        self._set_check()
        if self.direct is None:
            self._wake()
            self._set_direct()
        return True

    def ping(self) -> None:
        """Ask the client for an acknowledgement, unless one is outstanding."""
        is_asked = self.acknowledgements.are_due or self._is_pinging
        if is_asked or self._writer.has_flow_control or self._state is not State.OPEN:
            return
        self._is_pinging = True
        frame = self.encoder.ping()
        self._set_check()
        if self.direct is not None:
            self.direct(frame.wire)
            self.note_sent(frame)
            return
        # In front of the backlog and past flow control, which waits for the answer.
        self._backlog.put_first(frame)
        self._wake()

    def set_writable(self, is_writable: bool) -> None:
        """Set whether the writer's ``write`` may be used."""
        self._is_writable = is_writable
        self._set_direct()

    def note_sent(self, *frames: Frame) -> None:
        """Count frames that were sent, and expect their acknowledgements."""
        for frame in frames:
            self.sent += frame.size
            if frame.ack_id is not None:
                self._expect(frame.ack_id, frame.messages)
        if self.sent > self.check_at:
            self.ping()
            self._set_direct()

    def give_up(self) -> None:
        """Close the connection: its client has stopped reading."""
        if self._state is State.OPEN:
            counters.closed_as_stuck += 1
            self._log_stuck()
            self._stop(State.STUCK)
            self._on_stuck()

    async def flush(self) -> None:
        """Wait until everything that can be sent has been sent."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def close(self, *last: Frame, code: int = 1000) -> None:
        """Send the backlog, the *last* frames and a close, within one second."""
        self._state, self.direct = State.CLOSING, None
        close_transport = self._writer.close
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_FRAMES_SECONDS):
                for frame in last:
                    self._queue(frame)
                await self.flush()
                self.discard()
                await close_transport(int(code))
        self.discard()

    def discard(self) -> None:
        """Drop the backlog, accept nothing more, and release the transport.

        The transport's connection refers to its outbox, so whatever a client has sent
        would otherwise stay in memory until a garbage collection.
        """
        self._stop(State.CLOSED)
        self._writer, self._on_stuck, self.on_removed = NOWHERE, _ignore, None
        self._on_untold = None
        if self._timer is not None:
            self._timer.cancel()
        if self._sender is not None:
            self._sender.cancel()

    def _stop(self, state: State) -> None:
        self._state, self.direct = state, None
        self._backlog.clear()

    def _queue(self, frame: Frame) -> None:
        self._backlog.append(frame)
        if self._backlog.is_overfull:
            self.give_up()
        self._wake()

    def _set_direct(self) -> None:
        is_open = self._state is State.OPEN and self._is_writable and self._has_room
        is_idle = self._sender is None and self._backlog.is_even
        self.direct = self._writer.write if is_open and is_idle else None

    def _wake(self) -> None:
        if self._backlog and self._sender is None:
            if self._may_send:
                self._sender = asyncio.ensure_future(self._send())
            self._set_direct()
            self._watch()

    async def _send(self) -> None:
        try:
            while self._may_send:
                frame = self._backlog.take(self.encoder)
                # Before sending: an acknowledgement may arrive before send returns.
                self.note_sent(frame)
                await self._writer.send(frame.event)
        except OSError:
            # The client is gone; the transport finds out by itself.
            self._stop(State.CLOSED)
        finally:
            self._sender = None
            self._set_direct()

    @property
    def _may_send(self) -> bool:
        # The last frames need no flow control: nothing comes after them.
        is_last = self._state is State.CLOSING
        is_allowed = is_last or self._has_room or self._backlog.is_ping_first
        return bool(self._backlog) and is_allowed

    @property
    def _has_room(self) -> bool:
        in_flight = self.sent - self.acknowledgements.read
        is_room = in_flight < self._limits.in_flight_max_bytes
        return is_room or self._writer.has_flow_control

    def _expect(self, ack_id: str, messages: int) -> None:
        is_first = not self.acknowledgements.are_due
        self.acknowledgements.expect(ack_id, self.sent, messages)
        if is_first:
            self._set_check()
            self._watch()

    def _set_check(self) -> None:
        if self._writer.has_flow_control:
            self.check_at = sys.maxsize
            return
        in_flight = self._limits.in_flight_max_bytes
        if not (self.acknowledgements.are_due or self._is_pinging):
            # Connections of one Stream receive the same bytes and must not be pinged
            # together: thousands of simultaneous pongs would delay the next Message.
            in_flight = int(in_flight * random.uniform(*PING_AT))  # noqa: S311 - jitter
        self.check_at = self.acknowledgements.read + in_flight - 1

    @property
    def _is_waiting(self) -> bool:
        """Whether the client has something to read or to acknowledge."""
        is_busy = self._backlog or self._sender is not None
        return self._state is State.OPEN and bool(
            is_busy or self.acknowledgements.are_due
        )

    @property
    def _progress(self) -> tuple[bool, int]:
        # Check twice: a client that was only just pinged cannot have made progress yet.
        is_asked = self.acknowledgements.are_due
        return is_asked, self.acknowledgements.read if is_asked else self.sent

    def _watch(self) -> None:
        if self._timer is None and self._is_waiting:
            self._seen = self._progress
            self._timer = asyncio.get_running_loop().call_later(
                self._limits.stuck_timeout_seconds, self._look
            )

    def _look(self) -> None:
        self._timer = None
        if self._is_waiting and self._seen == self._progress:
            self.give_up()
        else:
            self._watch()

    def _log_stuck(self) -> None:
        acknowledgements = self.acknowledgements
        logger.info(
            "connection %s has stopped reading: sent %d bytes, read %d; "
            "%d of %d Messages acknowledged, %d dropped; last round trip %.3f s",
            *(self.connection_id, self.sent, acknowledgements.read),
            *(acknowledgements.acknowledged, acknowledgements.asked),
            *(self.dropped, acknowledgements.seconds),
        )
