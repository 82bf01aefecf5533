"""Small frames: read from their bytes rather than by the WebSocket parser.

Nearly everything that clients send is one small, final text or binary frame: an
acknowledgement, a pong, a request. The parser takes about 7 µs for it, this about one.
Everything else is left to the parser, one frame at a time, so that both agree on where
the next frame begins. See RFC 6455, section 5.2.
"""

import sys
from typing import NamedTuple

from websockets.exceptions import ProtocolError
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # it has no C extension here
    from websockets.utils import apply_mask

_OPCODES = {0x81: Opcode.TEXT, 0x82: Opcode.BINARY}
"""By a frame's first byte: final, without extensions."""

_MASKED, _LENGTH, _TWO_BYTES = 0x80, 0x7F, 126
_MASK_BYTES, _MAX_HEAD_BYTES = 4, 14
_LENGTH_BYTES = {126: 2, 127: 8}
_LENGTHS = {126: range(126, 1 << 16), 127: range(1 << 16, 1 << 63)}
"""The lengths that each number of bytes may encode: the shortest has to be used."""


class SmallFrame(NamedTuple):
    """A whole message, and where the next frame begins."""

    opcode: Opcode
    content: bytes
    end: int


class FrameReader:
    """Reads the small frames of one connection; counts through all others."""

    __slots__ = ("_head", "_left", "_max_length", "_parser")

    def __init__(self, parser: ServerProtocol) -> None:
        self._parser = parser
        limit = parser.max_message_size
        self._max_length = sys.maxsize if limit is None else limit
        self._head = b""
        """The first bytes, already parsed, of a frame of yet unknown length."""
        self._left = 0
        """Bytes that the parser still needs for its frame."""

    def read(self, data: bytes, at: int) -> SmallFrame | None:
        """Return the frame that begins at a position, if it is small and complete."""
        if self._left or self._head or len(data) < at + 2:
            return None
        opcode, length = _OPCODES.get(data[at]), data[at + 1]
        parser = self._parser
        is_between_messages = parser.state is State.OPEN and parser.current_size is None
        if opcode is None or length < _MASKED or not is_between_messages:
            return None
        length, start = length & _LENGTH, at + 2
        if length >= _TWO_BYTES:
            is_here = length == _TWO_BYTES and len(data) >= at + 4
            length = data[at + 2] << 8 | data[at + 3] if is_here else 0
            if length < _TWO_BYTES:
                return None
            start = at + 4
        end = start + _MASK_BYTES + length
        if len(data) < end or length > self._max_length:
            return None
        mask = data[start : start + _MASK_BYTES]
        content = apply_mask(data[start + _MASK_BYTES : end], mask)
        return SmallFrame(opcode, content, end)

    def end_of_frame(self, data: bytes, at: int) -> int:
        """Return where the frame at a position ends, up to which the parser is fed.

        Raises:
            ProtocolError: its length could be written in fewer bytes, or has its
                highest bit set. The parser would accept that.
        """
        if not self._left:
            head = self._head + data[at : at + _MAX_HEAD_BYTES]
            size = _frame_bytes(head)
            if size is None:
                self._head = head
                return len(data)
            self._left, self._head = size - len(self._head), b""
        end = min(at + self._left, len(data))
        self._left -= end - at
        return end


def _frame_bytes(head: bytes) -> int | None:
    """Return a frame's size on the wire, as soon as its first bytes reveal it."""
    if len(head) < 2:
        return None
    length = kind = head[1] & _LENGTH
    start = 2 + _LENGTH_BYTES.get(kind, 0)
    if len(head) < start:
        return None
    if kind in _LENGTHS:
        length = int.from_bytes(head[2:start], "big")
        if length not in _LENGTHS[kind]:
            raise ProtocolError("length not in its shortest form")
    return start + (_MASK_BYTES if head[1] & _MASKED else 0) + length
