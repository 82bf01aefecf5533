"""WebSocket frames: encoded once for all sockets of a protocol.

A frame is kept as an ASGI event and, for servers that accept it, as the bytes of a
WebSocket frame (RFC 6455, section 5.2: unmasked, final, without extensions).
"""

from typing import Literal, TypedDict

_FINAL_TEXT, _FINAL_BINARY = 0x81, 0x82


class SendEvent(TypedDict, total=False):
    """The ASGI event ``websocket.send``."""

    type: Literal["websocket.send"]
    text: str
    bytes: bytes


class WebSocketFrame:
    """One outbound frame; immutable by convention and shared between sockets."""

    __slots__ = ("_wire", "ack_id", "event", "messages", "size", "stream_sid")

    def __init__(
        self,
        data: str | bytes,
        *,
        stream_sid: str | None = None,
        ack_id: str | None = None,
        messages: int | None = None,
    ) -> None:
        """Wrap the frame's content.

        Args:
            data: text or binary content.
            stream_sid: the Stream of a Message; only such frames may be dropped.
            ack_id: id in the client's acknowledgement; ``None``: it sends none.
            messages: number of Messages in it; by default one, if it has a Stream.
        """
        self.event: SendEvent
        if isinstance(data, str):
            self.event = {"type": "websocket.send", "text": data}
            self.size = len(data) if data.isascii() else len(data.encode())
        else:
            self.event = {"type": "websocket.send", "bytes": data}
            self.size = len(data)
        self.stream_sid = stream_sid
        self.ack_id = ack_id
        self.messages = int(bool(stream_sid)) if messages is None else messages
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """The frame's bytes on the wire."""
        if self._wire is not None:
            return self._wire
        if "text" in self.event:
            opcode, content = _FINAL_TEXT, self.event["text"].encode()
        else:
            opcode, content = _FINAL_BINARY, self.event["bytes"]
        size = len(content)
        if size < 126:
            head = bytes((opcode, size))
        elif size < 65_536:
            head = bytes((opcode, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((opcode, 127)) + size.to_bytes(8, "big")
        self._wire = head + content
        return self._wire
