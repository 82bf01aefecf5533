"""Acknowledgements: what one client has still to acknowledge, and how long it takes to.

An answer names the frame that it acknowledges and proves that the client has read all
that was sent up to there. One that names a frame twice, or none, proves nothing.
"""

from time import monotonic


class Acknowledgements:
    """The acknowledgements of one connection."""

    __slots__ = ("_due", "_since", "_timed", "acknowledged", "asked", "read", "seconds")

    def __init__(self) -> None:
        """Begin with nothing sent."""
        # A list: an empty deque takes ten times the room, and there are many of these.
        self._due: list[tuple[str, int, int]] = []
        self.read = 0
        """Bytes that the client is known to have read."""
        self.asked = self.acknowledged = 0
        """Messages sent in frames that are answered, and those that were."""
        self.seconds = 0.0
        """Round trip of the answer that was timed last."""
        self._timed, self._since = 0, 0.0

    @property
    def are_due(self) -> bool:
        """Whether any is on its way."""
        return bool(self._due)

    def expect(self, ack_id: str, sent: int, messages: int) -> None:
        """Take note of a frame that the client acknowledgements.

        Args:
            ack_id: names the frame.
            sent: bytes sent so far, with it.
            messages: how many Messages are in it.
        """
        # One at a time is timed, as TCP does: a clock for each would cost more than it.
        if not self._timed:
            self._timed, self._since = sent, monotonic()
        self.asked += messages
        self._due.append((ack_id, sent, self.asked))

    def take(self, ack_id: str) -> bool:
        """Take an answer, which stands for those that are older, too.

        Returns:
            Whether it was due.
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
