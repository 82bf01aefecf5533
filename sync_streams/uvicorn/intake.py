"""Counts what one connection has sent, against the bounds.

It decides what is refused; reading and responding are up to the protocol.
"""

from enum import Enum

from sync_streams.connections import bounds

from .heads import Headers, declared_bytes

SLICE_BYTES = 4096
"""How much the parser is fed at a time, since it cannot be stopped in between."""

HEAD_END = b"\r\n\r\n"


class Phase(Enum):
    """What the server is waiting for, or that it is processing a request."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"


# In Python 3.11 it takes 0.2 µs to look a member up in its class.
HEAD, BODY, ANSWER = Phase


class Intake:
    """The bytes of a connection's requests, and the progress of the latest one."""

    __slots__ = (
        "_body_bytes",
        "_declared_bytes",
        "_head_bytes",
        "_is_begun",
        "_max_body_bytes",
        "_wire_bytes",
        "phase",
        "requests",
    )

    def __init__(self) -> None:
        self.phase = HEAD
        self.requests = 0
        """Complete requests so far."""
        self._head_bytes = self._body_bytes = self._wire_bytes = 0
        self._max_body_bytes = self._declared_bytes = 0
        self._is_begun = False

    @property
    def is_begun(self) -> bool:
        """Whether a request has been received in part."""
        # Bytes behind a body's end in the same slice are not counted.
        return self._is_begun or bool(self._head_bytes)

    @property
    def owed(self) -> tuple[int, Phase, int]:
        """What the time limit applies to; a change restarts it."""
        steps = self._body_bytes // bounds.BODY_STEP_BYTES
        return self.requests, self.phase, steps

    @property
    def seconds(self) -> float:
        """Time limit for what is awaited."""
        is_body = self.phase is BODY
        return bounds.BODY_SECONDS if is_body else bounds.HEAD_SECONDS

    @property
    def room(self) -> int:
        """Bytes that may be parsed next; 0 if the head is too long."""
        if self.phase is not HEAD:
            # 1 is a body in chunks, whose end only the parser knows.
            left = self._declared_bytes - self._body_bytes
            return SLICE_BYTES if self._declared_bytes <= 1 else min(SLICE_BYTES, left)
        return min(SLICE_BYTES, bounds.MAX_HEAD_BYTES - self._head_bytes)

    def cut(self, data: memoryview) -> bytes:
        """Return what is parsed next: of several requests, the first."""
        part = bytes(data[: self.room])
        end = part.find(HEAD_END) if self.phase is HEAD else -1
        return part[: end + len(HEAD_END)] if end >= 0 else part

    def expect(self) -> None:
        """Count the next byte as the start of a request, even an empty line."""
        if self.phase is ANSWER:
            self.phase = HEAD

    def begin(self) -> None:
        """Start a request."""
        self.phase, self._body_bytes, self._wire_bytes = HEAD, 0, 0
        self._declared_bytes, self._is_begun = 0, True

    def take_headers(self, target: bytes, headers: Headers) -> bounds.Refusal | None:
        """Set the bound of the body; refuse one whose declared length exceeds it."""
        path = target.partition(b"?")[0].decode("latin-1")
        self._max_body_bytes = bounds.max_body_bytes(path)
        self._declared_bytes = declared_bytes(headers)
        is_too_large = self._declared_bytes > self._max_body_bytes
        return bounds.BODY_TOO_LARGE if is_too_large else None

    def take_body(self, size: int) -> bounds.Refusal | None:
        """Count a part of the body; refuse a body that is too long."""
        self._body_bytes += size
        is_too_large = self._body_bytes > self._max_body_bytes
        return bounds.BODY_TOO_LARGE if is_too_large else None

    def take_slice(self, size: int, *, is_same: bool) -> bounds.Refusal | None:
        """Count what the parser was fed, if all of it belongs to one request."""
        if self.phase is BODY:
            # Chunk sizes, extensions and trailers are not body and otherwise unbounded.
            self._wire_bytes += size
            if self._wire_bytes > self._max_body_bytes + bounds.MAX_HEAD_BYTES:
                return bounds.BODY_TOO_LARGE
        elif is_same:
            self._head_bytes += size
        return None

    def end(self) -> None:
        """End a request; the server now processes it."""
        self.phase, self._head_bytes, self._is_begun = ANSWER, 0, False
        self.requests += 1
