"""Frames: the ASGI event and the bytes of RFC 6455 are equivalent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as ReadFrame
from websockets.frames import Opcode
from websockets.streams import StreamReader

from sync_streams.connections.frames import WebSocketFrame


def read(wire: bytes) -> ReadFrame:
    """Read one frame with a strict client's parser."""
    stream = StreamReader()
    stream.feed_data(wire)
    steps = ReadFrame.parse(stream.read_exact, mask=False)
    try:
        next(steps)
    except StopIteration as end:
        frame: ReadFrame = end.value
        assert not stream.buffer
        return frame
    pytest.fail("the frame is too short")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("letter", ["x", "\u20ac"])
def test_a_text_of_any_size_is_one_frame(letter: str, size: int) -> None:
    text = (letter * size)[: size // len(letter.encode())]

    frame = WebSocketFrame(text)

    parsed = read(frame.wire)
    assert (parsed.opcode, parsed.fin) == (Opcode.TEXT, True)
    assert bytes(parsed.data).decode() == text
    assert frame.size == len(text.encode())
    assert frame.event == {"type": "websocket.send", "text": text}


@given(st.binary())
def test_bytes_are_one_binary_frame(data: bytes) -> None:
    frame = WebSocketFrame(data)

    parsed = read(frame.wire)
    assert (parsed.opcode, bytes(parsed.data)) == (Opcode.BINARY, data)
    assert frame.event == {"type": "websocket.send", "bytes": data}
    assert frame.size == len(data)


def test_a_frame_is_encoded_once() -> None:
    frame = WebSocketFrame("x")

    assert frame.wire is frame.wire
