"""Inbound budget: what one socket may send, counted where its bytes arrive.

Consumers count whole messages. Pings and fragments never reach them and cost as much,
and a server reads faster than it can say no. So the server classes of this package feed
their parser a slice at a time and end the connection of a client that exceeds its
budget, before the parser has seen the rest.
"""

import time

from sync_streams.conf import get_settings

INBOUND_EXTENSION = "sync_streams.websocket.inbound"
"""ASGI extension of servers that count what arrives: the socket's budget."""

SLICE_BYTES = 2048
"""What a parser is fed at a time: at most 341 frames."""

WINDOW_SECONDS = 2

FRAMES_BEFORE_TOKEN = 256
BYTES_BEFORE_TOKEN = 32_768
"""All that a socket may send until its access token is accepted: several times what a
token needs, and requests that do not wait for the answer."""

MAX_CONTROL_FRAMES = 200
"""Pings and pongs in a window: far above what any client sends, and far below what
makes the server do nothing else."""

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
    )

    def __init__(self) -> None:
        self._frames = self._bytes = self._control_frames = 0
        self._window_ends = 0.0
        self._is_authenticated = False

    def spend(self, *, frames: int = 0, control: int = 0, size: int = 0) -> bool:
        """Count what came; tell whether that was still allowed.

        Args:
            frames: of any kind.
            control: how many of them are control frames.
            size: bytes.

        With a token accepted: twice ``max_frames_per_second`` and
        ``max_bytes_per_second``, in any window of 2 seconds. Those above the single
        rate hear of it from the consumer, message by message.
        """
        if self._is_authenticated:
            self._begin_window()
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

    def refund(self) -> None:
        """Count one frame less: it answers one of ours, and those are counted."""
        self._frames -= 1

    def raise_for_token(self) -> None:
        """Go on with the budget of a client whose token was accepted."""
        self._is_authenticated = True
        self._window_ends = 0.0

    def _begin_window(self) -> None:
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends = now + WINDOW_SECONDS
            self._frames = self._bytes = self._control_frames = 0
