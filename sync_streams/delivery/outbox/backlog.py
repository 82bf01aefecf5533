"""Backlog: what waits for one connection, bounded in frames and bytes.

Above a bound the oldest Message is dropped, counted and, where the protocol can, told
as a gap. Replies to the client's own requests are never dropped.
"""

from sync_streams.conf import Settings
from sync_streams.delivery.counters import counters, dropped_rates

from .frames import Encoder, Frame


class Backlog:
    """The frames that one connection has still to be sent."""

    __slots__ = ("_bytes", "_frames", "_gaps", "_limits", "_messages", "dropped")

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        # A list: an empty deque takes ten times the room, and there are many of these.
        self._frames: list[Frame] = []
        self._bytes = self._messages = 0
        self._gaps: dict[str, int | None] = {}
        self.dropped = 0
        """Messages that the connection has lost."""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_even(self) -> bool:
        """Whether nothing waits and no gap is still to be told."""
        return not (self._frames or self._gaps)

    @property
    def is_overfull(self) -> bool:
        """Whether replies alone are too much: their client asks and does not read."""
        return self._bytes > self._limits.outbox_max_bytes

    def append(self, frame: Frame) -> None:
        """Let a frame wait; the oldest Messages make room for it."""
        self._frames.append(frame)
        self._bytes += frame.size
        self._messages += frame.stream_sid is not None
        while self._messages and self._is_full:
            self._drop_oldest()

    def put_first(self, frame: Frame) -> None:
        """Let a frame wait in front of all others."""
        self._frames.insert(0, frame)
        self._bytes += frame.size

    def record_drop(self, stream_sid: str) -> None:
        """Count a Message that the connection is not sent, to be told as a gap."""
        known = self._gaps.get(stream_sid, 0)
        self._gaps[stream_sid] = None if known is None else known + 1
        self.dropped += 1
        counters.dropped += 1
        dropped_rates.note(stream_sid)

    def record_gap(self, stream_sid: str) -> None:
        """Note that Messages of a Stream may have been lost, nobody knows how many."""
        self._gaps[stream_sid] = None

    def forget_gap(self, stream_sid: str) -> None:
        """Tell no gap of a Stream any more."""
        self._gaps.pop(stream_sid, None)

    def take(self, encoder: Encoder) -> Frame:
        """Return what is to be sent next: a frame, several in one, or a gap."""
        first = self._frames[0]
        if first.stream_sid is None:
            self._forget(1)
            return first
        if first.stream_sid in self._gaps:
            dropped = self._gaps.pop(first.stream_sid)
            gap = encoder.gap(first.stream_sid, dropped)
            if gap is not None:
                counters.gaps_told += 1
                return gap
            counters.gaps_untold += 1
        frame = encoder.merge(self._frames)
        self._forget(frame.messages)
        return frame

    def clear(self) -> None:
        """Let nothing wait."""
        self._frames.clear()
        self._bytes = self._messages = 0

    @property
    def _is_full(self) -> bool:
        is_long = len(self._frames) > self._limits.outbox_max_messages
        return is_long or self.is_overfull

    def _drop_oldest(self) -> None:
        for place, frame in enumerate(self._frames):
            if frame.stream_sid is not None:
                self._let_go(frame)
                del self._frames[place]
                self.record_drop(frame.stream_sid)
                return

    def _let_go(self, frame: Frame) -> None:
        self._bytes -= frame.size
        self._messages -= frame.stream_sid is not None

    def _forget(self, count: int) -> None:
        for frame in self._frames[:count]:
            self._let_go(frame)
            if frame.stream_sid in self._gaps:
                del self._gaps[frame.stream_sid]
                counters.gaps_untold += 1
        del self._frames[:count]
