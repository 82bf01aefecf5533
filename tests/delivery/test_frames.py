"""Frames: the ASGI event and the bytes of RFC 6455 are equivalent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Message

from sync_streams.connections.frames import WebSocketFrame


def read(wire: bytes) -> bytes | str:
    """Read one message with a strict client's parser."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(wire)
    (message,) = client.events()
    assert isinstance(message, Message)
    assert message.message_finished
    return bytes(message.data) if isinstance(message, BytesMessage) else message.data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("letter", ["x", "\u20ac"])
def test_a_text_of_any_size_is_one_frame(letter: str, size: int) -> None:
    text = (letter * size)[: size // len(letter.encode())]

    frame = WebSocketFrame(text)

    assert read(frame.wire) == text
    assert frame.size == len(text.encode())
    assert frame.event == {"type": "websocket.send", "text": text}


@given(st.binary())
def test_bytes_are_one_binary_frame(data: bytes) -> None:
    frame = WebSocketFrame(data)

    assert read(frame.wire) == data
    assert frame.event == {"type": "websocket.send", "bytes": data}
    assert frame.size == len(data)


def test_a_frame_is_encoded_once() -> None:
    frame = WebSocketFrame("x")

    assert frame.wire is frame.wire
