"""Backlog: the frames that wait for one connection, bounded in number and bytes.

Above a bound the oldest Message is dropped, counted and, if the protocol allows it,
reported as a gap. Replies to the client's own requests are never dropped.
"""

from sync_streams.conf import Settings
from sync_streams.delivery.counters import counters, dropped_rates

from .frames import Encoder, Frame


class Backlog:
    """The frames that one connection has not been sent yet."""

    __slots__ = ("_bytes", "_frames", "_gaps", "_limits", "_messages", "dropped")

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        # A list: an empty deque takes ten times the memory, and there are many.
        self._frames: list[Frame] = []
        self._bytes = self._messages = 0
        self._gaps: dict[str, int | None] = {}
        self.dropped = 0
        """Messages that the connection has lost."""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_even(self) -> bool:
        """Whether no frame waits and no gap is left to report."""
        return not (self._frames or self._gaps)

    @property
    def is_overfull(self) -> bool:
        """Whether it is too large even without Messages: the client does not read."""
        return self._bytes > self._limits.outbox_max_bytes

    @property
    def is_ping_first(self) -> bool:
        """Whether the next frame carries no Message and asks for an acknowledgement."""
        first = self._frames[0] if self._frames else None
        return bool(first and first.stream_sid is None and first.ack_id is not None)

    def append(self, frame: Frame) -> None:
        """Add a frame, dropping the oldest Messages to make room for it."""
        self._frames.append(frame)
        counters.waiting += 1
        self._bytes += frame.size
        self._messages += frame.stream_sid is not None
        while self._messages and self._is_full:
            self._drop_oldest()

    def put_first(self, frame: Frame) -> None:
        """Add a frame in front of all others."""
        self._frames.insert(0, frame)
        counters.waiting += 1
        self._bytes += frame.size

    def record_drop(self, stream_sid: str) -> None:
        """Record a dropped Message, to be reported as a gap."""
        known = self._gaps.get(stream_sid, 0)
        self._gaps[stream_sid] = None if known is None else known + 1
        self.dropped += 1
        counters.dropped += 1
        dropped_rates.note(stream_sid)

    def record_gap(self, stream_sid: str) -> None:
        """Record that an unknown number of a Stream's Messages may be lost."""
        self._gaps[stream_sid] = None

    def forget_gap(self, stream_sid: str) -> None:
        """Discard a Stream's gap without reporting it."""
        self._gaps.pop(stream_sid, None)

    def take(self, encoder: Encoder) -> Frame:
        """Remove and return the next frame: one, several merged, or a gap."""
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
        """Remove all frames."""
        counters.waiting -= len(self._frames)
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
                counters.waiting -= 1
                self.record_drop(frame.stream_sid)
                return

    def _let_go(self, frame: Frame) -> None:
        self._bytes -= frame.size
        self._messages -= frame.stream_sid is not None

    def _forget(self, count: int) -> None:
        counters.waiting -= count
        for frame in self._frames[:count]:
            self._let_go(frame)
            if frame.stream_sid in self._gaps:
                del self._gaps[frame.stream_sid]
                counters.gaps_untold += 1
        del self._frames[:count]
