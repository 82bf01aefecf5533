"""Acknowledgements: what a client has not acknowledged yet, and how long it takes to.

An acknowledgement names a frame and proves that the client has read everything up to
it. One with an unexpected id, or a repeated one, proves nothing.
"""

from time import monotonic


class Acknowledgements:
    """The acknowledgements of one connection."""

    __slots__ = ("_due", "_since", "_timed", "acknowledged", "asked", "read", "seconds")

    def __init__(self) -> None:
        # A list: an empty deque takes ten times the memory, and there are many.
        self._due: list[tuple[str, int, int]] = []
        self.read = 0
        """Bytes that the client is known to have read."""
        self.asked = self.acknowledged = 0
        """Messages for which an acknowledgement was requested, and was received."""
        self.seconds = 0.0
        """Round trip of the acknowledgement that was timed last."""
        self._timed, self._since = 0, 0.0

    @property
    def are_due(self) -> bool:
        """Whether any is outstanding."""
        return bool(self._due)

    def expect(self, ack_id: str, sent: int, messages: int) -> None:
        """Record a frame that the client will acknowledge.

        Args:
            ack_id: identifies the frame.
            sent: bytes sent so far, including it.
            messages: number of Messages in it.
        """
        # Only one at a time is timed, as in TCP: timing each would cost too much.
        if not self._timed:
            self._timed, self._since = sent, monotonic()
        self.asked += messages
        self._due.append((ack_id, sent, self.asked))

    def take(self, ack_id: str) -> bool:
        """Process an acknowledgement, which covers all earlier frames, too.

        Returns:
            Whether it was expected.
        """
        for number, (due_id, sent, asked) in enumerate(self._due):
            if due_id == ack_id:
                del self._due[: number + 1]
                self.read, self.acknowledged = sent, asked
                self._stop_clock()
                return True
        return False

    def _stop_clock(self) -> None:
        if self._timed and self._timed <= self.read:
            self._timed, self.seconds = 0, monotonic() - self._since
