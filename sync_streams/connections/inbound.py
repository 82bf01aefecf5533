"""Inbound budget: limits what one socket may send, counted where its bytes arrive.

Consumers count whole messages. Pings and fragments cost as much but never reach them,
and a server reads faster than a consumer can refuse. The server classes of this package
therefore feed their parser one slice at a time, and close the connection of a client
that exceeds its budget before the parser has seen the rest.
"""

import time

from sync_streams.conf import get_settings

INBOUND_EXTENSION = "sync_streams.websocket.inbound"
"""ASGI extension of servers that count inbound data: the socket's budget."""

SLICE_BYTES = 2048
"""Bytes fed to a parser at a time: at most 341 frames."""

WINDOW_SECONDS = 2

FRAMES_BEFORE_TOKEN = 256
BYTES_BEFORE_TOKEN = 32_768
"""What a socket may send before its access token is accepted: several times the size of
a token, and requests sent without waiting for the reply."""

MAX_CONTROL_FRAMES = 200
"""Pings and pongs in a window: far more than any client sends, and far fewer than would
keep the server busy."""

MAX_FRAGMENTS = 1024
"""Fragments of one message."""


class InboundBudget:
    """What one socket may still send."""

    __slots__ = (
        "_bytes",
        "_control_frames",
        "_frames",
        "_is_authenticated",
        "_window_ends",
        "is_exceeded",
    )

    def __init__(self) -> None:
        self._frames = self._bytes = self._control_frames = 0
        self._window_ends = 0.0
        self._is_authenticated = False
        self.is_exceeded = False
        """Whether the server has closed the connection because of this."""

    def spend(self, *, frames: int = 0, control: int = 0, size: int = 0) -> bool:
        """Count what arrived; return whether it is within the budget.

        Args:
            frames: number of frames of any kind.
            control: how many of them are control frames.
            size: bytes.

        Once a token is accepted, the budget is twice ``max_frames_per_second``, and
        ``max_bytes_per_second``, in windows of 2 seconds. Above the single frame rate
        the consumer refuses each message with an error.
        """
        if self._is_authenticated and time.monotonic() >= self._window_ends:
            self._window_ends = time.monotonic() + WINDOW_SECONDS
            self._frames = self._bytes = self._control_frames = 0
        self._frames += frames
        self._control_frames += control
        self._bytes += size
        if not self._is_authenticated:
            is_few = self._frames <= FRAMES_BEFORE_TOKEN
            return is_few and self._bytes <= BYTES_BEFORE_TOKEN
        settings = get_settings()
        max_frames = 2 * settings.max_frames_per_second * WINDOW_SECONDS
        max_bytes = settings.max_bytes_per_second * WINDOW_SECONDS
        return (
            self._frames <= max_frames
            and self._control_frames <= MAX_CONTROL_FRAMES
            and self._bytes <= max_bytes
        )

    @property
    def is_authenticated(self) -> bool:
        """Whether the client's token was accepted."""
        return self._is_authenticated

    def refund(self) -> None:
        """Uncount a frame that answers one of ours, whose number we control."""
        self._frames -= 1

    def raise_for_token(self) -> None:
        """Switch to the budget of a client whose token was accepted."""
        self._is_authenticated = True
        self._window_ends = 0.0
