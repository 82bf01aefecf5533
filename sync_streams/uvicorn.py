"""Frame path: lets the hub hand encoded WebSocket frames to uvicorn's transport.

``uvicorn --ws sync_streams.uvicorn:FramePathProtocol`` adds an ASGI extension to each
socket's scope; delivery uses it where it is offered and plain ASGI everywhere else. A
frame that goes to a thousand sockets is then encoded once, and each costs one write.

Obeys RFC 6455 through uvicorn's own protocol, which keeps the handshake, pings,
fragments and the close: https://www.uvicorn.org/settings/#implementation.
"""

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.protocol import State

from .delivery.frames import FRAME_EXTENSION

if TYPE_CHECKING:
    from websockets.http11 import Request


class FramePathProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering ``sync_streams.websocket.frame``.

    The extension holds ``write(frame: bytes) -> bool``, which takes one whole encoded
    frame or says that it must go the ordinary way, and ``abort()``, which ends the
    connection without waiting for the peer to read. The application may add
    ``leave()``: it is then asked to leave when the server stops, and to say so first.
    """

    frame_path: dict[Any, Any] | None = None

    def handle_connect(self, event: "Request") -> None:
        """Add the extension before the application sees the scope."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.frame_path = {
                "write": self.write_frame,
                "abort": self.transport.abort,
            }
            self.scope["extensions"][FRAME_EXTENSION] = self.frame_path

    def shutdown(self) -> None:
        """Let the application end the connection in its own time, if it can."""
        if self.frame_path and "leave" in self.frame_path and not self.disconnected:
            self.frame_path["leave"]()
        else:
            super().shutdown()

    def write_frame(self, frame: bytes) -> bool:
        """Write an encoded frame, unless the transport is full or on its way out.

        uvicorn writes whole frames only, so this never falls between two fragments.
        """
        if (
            self.conn.state is not State.OPEN
            or not self.handshake_complete
            or not self.writable.is_set()
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(frame)
        return True
