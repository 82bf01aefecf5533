"""Daphne's WebSocket, closed when its client exceeds a budget."""

from functools import partial
from typing import Any

from autobahn.exception import Disconnected
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

from sync_streams.connections import bounds
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.inbound import (
    BYTES_BEFORE_TOKEN,
    MAX_FRAGMENTS,
    SLICE_BYTES,
    InboundBudget,
)

from .turns import turns


class BoundedWebSocket(WebSocketProtocol):
    """Daphne's WebSocket, which closes when a client exceeds its budget."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.inbound = InboundBudget()
        self._is_over = False
        self._fragments = 0
        self._abortion: Any = None
        self._is_waiting = False

    def connectionMade(self) -> None:
        """Take over the connection."""
        super().connectionMade()
        self._address, self._turns = str(self.transport.getPeer().host), turns.get()

    def dataReceived(self, data: bytes) -> None:
        """Read at once from clients with an accepted token, from others in turn."""
        is_known = self.inbound.is_authenticated and not self._is_waiting
        if is_known or self.state == self.STATE_CONNECTING:
            self._read(data)
            return
        self._is_waiting = True
        self.transport.stopReading()
        # One byte above the budget ends it.
        data = data[: BYTES_BEFORE_TOKEN + 1]
        self._turns.run(self._address, partial(self._read_in_turn, data))

    def _read_in_turn(self, data: bytes) -> None:
        self._is_waiting = False
        if not self._is_over:
            self.transport.startReading()
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Read slice by slice while the client's budget lasts."""
        is_open = self.state != self.STATE_CONNECTING
        for start in range(0, len(data), SLICE_BYTES):
            part = data[start : start + SLICE_BYTES]
            if is_open and not self.inbound.spend(size=len(part)):
                self._end_flood()
            if self._is_over:
                return
            super().dataReceived(part)

    def onFrameBegin(self) -> None:
        """Count a frame of any kind."""
        is_control = self.current_frame.opcode > 7
        self._fragments += not is_control
        if (
            not self.inbound.spend(frames=1, control=is_control)
            or self._fragments > MAX_FRAGMENTS
        ):
            self._end_flood()
            return
        super().onFrameBegin()

    def onMessageEnd(self) -> None:
        """Handle a complete message."""
        self._fragments = 0
        super().onMessageEnd()

    def sendMessage(self, *args: Any, **options: Any) -> None:
        """Send a message; once the socket is closed, fail as ASGI specifies.

        https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
        """
        try:
            super().sendMessage(*args, **options)
        except Disconnected as error:
            raise ConnectionResetError(str(error)) from None

    def connectionLost(self, reason: Any) -> None:
        """Release everything."""
        self._is_over = True
        super().connectionLost(reason)
        if self._abortion is not None and self._abortion.active():
            self._abortion.cancel()
        self._release()
        self.request = self.http_headers = self.http_request_data = None
        self.clean_headers: list[tuple[bytes, bytes]] = []
        # The result of this future is the socket itself.
        self.is_closed = None

    def dropConnection(self, abort: bool = False) -> None:
        """End the connection, even if its client reads nothing of what was sent."""
        if self._abortion is None and self.state != self.STATE_CLOSED:
            cut_off = self.transport.abortConnection
            self._abortion = reactor.callLater(bounds.LINGER_SECONDS, cut_off)
        super().dropConnection(abort)

    def _end_flood(self) -> None:
        if not self._is_over:
            self._is_over = self.inbound.is_exceeded = True
            if self.state == self.STATE_OPEN:
                code = CloseCode.TOO_MANY_FRAMES
                self.sendCloseFrame(int(code), code.reason.encode())
            self.dropConnection()
            self._release()

    def _release(self) -> None:
        """Free received data, which Autobahn keeps until a garbage collection."""
        self.data = b""
        self.frame_data = self.message_data = self.control_frame_data = None
