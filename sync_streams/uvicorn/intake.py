"""What one connection has sent of its requests, counted against the bounds.

It counts and says what is refused; reading and answering are the protocol's.
"""

from enum import Enum

from sync_streams import bounds

from .heads import Headers, declared_bytes

SLICE_BYTES = 4096
"""What the parser is fed at a time, since it cannot be stopped in between."""


class Phase(Enum):
    """What the client owes, or that it is the server's turn."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"


class Intake:
    """The bytes of a connection's requests, and how far the latest one is."""

    __slots__ = (
        "_body_bytes",
        "_head_bytes",
        "_max_body_bytes",
        "_wire_bytes",
        "phase",
        "requests",
    )

    def __init__(self) -> None:
        self.phase = Phase.HEAD
        self.requests = 0
        """Whole requests so far."""
        self._head_bytes = self._body_bytes = self._wire_bytes = 0
        self._max_body_bytes = 0

    @property
    def is_begun(self) -> bool:
        """Whether a part of a request is there, and not all of it."""
        return bool(self._head_bytes) or self.phase is Phase.BODY

    @property
    def owed(self) -> tuple[int, Phase, int]:
        """What the client is given its time for: this changes when it gets more."""
        steps = self._body_bytes // bounds.BODY_STEP_BYTES
        return self.requests, self.phase, steps

    @property
    def seconds(self) -> float:
        """Time for what is owed."""
        is_body = self.phase is Phase.BODY
        return bounds.BODY_SECONDS if is_body else bounds.HEAD_SECONDS

    @property
    def room(self) -> int:
        """Bytes that may be parsed next; 0: the head is too long."""
        if self.phase is not Phase.HEAD:
            return SLICE_BYTES
        return min(SLICE_BYTES, bounds.MAX_HEAD_BYTES - self._head_bytes)

    def expect(self) -> None:
        """Take the next byte for the beginning of a request, even an empty line."""
        if self.phase is Phase.ANSWER:
            self.phase = Phase.HEAD

    def begin(self) -> None:
        """Begin a request."""
        self.phase, self._body_bytes, self._wire_bytes = Phase.HEAD, 0, 0

    def take_headers(self, target: bytes, headers: Headers) -> bounds.Refusal | None:
        """Find the bound of the body, and refuse one that is announced to exceed it."""
        path = target.partition(b"?")[0].decode("latin-1")
        self._max_body_bytes = bounds.max_body_bytes(path)
        is_too_large = declared_bytes(headers) > self._max_body_bytes
        return bounds.BODY_TOO_LARGE if is_too_large else None

    def take_body(self, size: int) -> bounds.Refusal | None:
        """Count a part of the body, and refuse what is too much."""
        self._body_bytes += size
        is_too_large = self._body_bytes > self._max_body_bytes
        return bounds.BODY_TOO_LARGE if is_too_large else None

    def take_slice(self, size: int, *, is_same: bool) -> bounds.Refusal | None:
        """Count what the parser was fed, if that was all of the same request."""
        if self.phase is Phase.BODY:
            # Chunk sizes, their extensions and trailers are no body, and have no end.
            self._wire_bytes += size
            if self._wire_bytes > self._max_body_bytes + bounds.MAX_HEAD_BYTES:
                return bounds.BODY_TOO_LARGE
        elif is_same:
            self._head_bytes += size
        return None

    def end(self) -> None:
        """End a request; it is the server's turn."""
        self.phase, self._head_bytes = Phase.ANSWER, 0
        self.requests += 1
