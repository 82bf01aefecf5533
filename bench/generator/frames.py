"""Parses server output for the Python load generator: RFC 6455 and HTTP/1.1."""

from collections.abc import Iterator


def frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove complete frames from the buffer; yield their opcodes and contents."""
    at = 0
    while (head := _head(buffer, at)) is not None:
        start, size = head
        if len(buffer) < start + size:
            break
        yield buffer[at] & 15, bytes(buffer[start : start + size])
        at = start + size
    del buffer[:at]


def _head(buffer: bytearray, at: int) -> tuple[int, int] | None:
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1] & 127, at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < start + width:
            return None
        size, start = int.from_bytes(buffer[start : start + width]), start + width
    return start, size


def stamps(buffer: bytearray, length: int) -> Iterator[bytes]:
    """Remove complete stamps from a byte stream; yield them."""
    while (at := buffer.find(b"~#")) >= 0 and len(buffer) >= at + length:
        yield bytes(buffer[at : at + length])
        del buffer[: at + length]
    if at < 0:
        del buffer[: max(0, len(buffer) - 1)]


def answers(buffer: bytearray) -> Iterator[bool]:
    """Remove status lines from a byte stream; yield whether each is a success."""
    while (at := buffer.find(b"HTTP/1.1 ")) >= 0 and len(buffer) >= at + 10:
        yield buffer[at + 9 : at + 10] == b"2"
        del buffer[: at + 9]
    if at < 0:
        del buffer[: max(0, len(buffer) - 8)]
