"""Daphne with limits on everything that a client sends.

``python -m sync_streams.daphne`` takes the options of ``daphne``. Plain Daphne reads a
request for as long as a byte arrives each second, keeps a body of any length in a file,
and answers pings without counting them. Here each is bounded, as defined in
:mod:`sync_streams.connections.bounds` and :mod:`sync_streams.connections.inbound`.
https://github.com/django/daphne
"""

from contextvars import copy_context
from functools import partial
from socket import socket
from typing import Any, ClassVar

from daphne.cli import CommandLineInterface
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.tcp import Port
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers

from .conf import get_settings
from .connections import bounds
from .connections.close_codes import CloseCode
from .connections.fairness import Crowd, Turns
from .connections.inbound import (
    BYTES_BEFORE_TOKEN,
    INBOUND_EXTENSION,
    MAX_FRAGMENTS,
    SLICE_BYTES,
    InboundBudget,
)
from .processes import descriptors
from .processes.per_loop import PerLoop

ACCEPTS = 128
"""Connections accepted in an iteration of the reactor: about 2 ms."""

SLICE_SECONDS = 0.002
"""Work in one iteration; answering what it began takes about as long again."""

_turns = PerLoop(partial(Turns, SLICE_SECONDS))


class BoundedChannel(HTTPChannel):
    """Twisted's HTTP connection, bounded in bytes, time and number.

    Refuses with 400, 408, 413, 414, 431 or 503, always with Twilio's JSON body and
    ``Connection: close``. A connection on which nothing arrived is closed without a
    response.
    """

    MAX_LENGTH = totalHeadersSize = bounds.MAX_HEAD_BYTES
    maxHeaders = bounds.MAX_HEADERS
    abortTimeout = bounds.UNREAD_SECONDS

    crowd: ClassVar[Crowd["BoundedChannel"]] = Crowd()
    """Every connection that is not a WebSocket."""

    def __init__(self) -> None:
        super().__init__()
        self._is_refused = self._has_sent = self._is_last = False
        self._lingered = 0
        self._body_bytes = self._wire_bytes = self._max_body_bytes = 0
        self._deadline: Any = None
        self._is_lost = False

    def connectionMade(self) -> None:
        """Accept a connection; when full, close the one idle for longest."""
        self.timeOut = None  # there is a deadline
        super().connectionMade()
        self.address = str(self.transport.getPeer().host)
        self._turns = _turns.get()
        self.crowd.add(self)
        self._owe(bounds.HEAD_SECONDS)
        self._is_last = descriptors.is_last(self.transport.fileno())
        self._make_room(for_descriptor=self._is_last)

    def _make_room(self, *, for_descriptor: bool) -> None:
        is_full = len(self.crowd) > get_settings().max_http_connections
        if not (is_full or for_descriptor):
            return
        connection = self.crowd.expendable()
        # It may be all that is no WebSocket, such as a health check.
        if connection is not None and (is_full or connection is not self):
            connection.end(bounds.NO_PLACE)

    def connectionLost(self, reason: Any) -> None:
        """Release everything."""
        self._is_lost = True
        self._leave()
        super().connectionLost(reason)
        for request in self.requests:
            _release(request)
        self.requests.clear()

    def dataReceived(self, data: bytes) -> None:
        """Read data within the limits."""
        if self._is_refused:
            self._lingered += len(data)
            if self._lingered > bounds.LINGER_BYTES:
                self.transport.abortConnection()
            return
        self._has_sent = True
        self.transport.stopReading()
        if not self._turns.run(self.address, partial(self._read, data)):
            # It does not wait for its client now.
            self.crowd.answer(self)

    def _read(self, data: bytes) -> None:
        if self._is_lost or self._is_refused:
            return
        if not self._handlingRequest:
            self.crowd.wait(self)
        # The request may stop it again.
        self.transport.startReading()
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """Read a line of a head."""
        if not self._is_refused:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is too long."""
        is_first = not self._receivedHeaderSize
        self.refuse(bounds.LINE_TOO_LONG if is_first else bounds.HEADERS_TOO_LARGE)

    def allHeadersReceived(self) -> None:
        """Start the deadline for the body, or refuse one that is too large."""
        super().allHeadersReceived()
        path = self._path.partition(b"?")[0].decode("latin-1")
        self._max_body_bytes = bounds.max_body_bytes(path)
        self._body_bytes = self._wire_bytes = 0
        if (self.length or 0) > self._max_body_bytes:
            self.refuse(bounds.BODY_TOO_LARGE)
        elif self.length != 0:
            self._owe(bounds.BODY_SECONDS)

    def rawDataReceived(self, data: bytes) -> None:
        """Read part of a body, or data that waits until a request is answered."""
        # Chunk sizes and extensions are not part of the body and have no limit.
        self._wire_bytes += 0 if self._handlingRequest else len(data)
        if self._wire_bytes > self._max_body_bytes + bounds.MAX_HEAD_BYTES:
            self.refuse(bounds.BODY_TOO_LARGE)
        if not self._is_refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """Have the request answered."""
        if self._is_refused:
            return
        request = self.requests[-1]
        if self._is_last and request.requestHeaders.hasHeader(b"Upgrade"):
            self.refuse(bounds.NO_PLACE)
            return
        self._cancel_deadline()
        self.crowd.answer(self)
        super().allContentReceived()
        if request.transport is None:
            # The connection has become a WebSocket, which now owns the transport.
            self._leave()
            self._forget(request)

    def _forget(self, request: Any) -> None:
        """Release a request that nobody will call done."""
        self.requests.remove(request)
        request.channel = None
        request.content.close()
        _release(request)

    def requestDone(self, request: Any) -> None:
        """Wait for the next request."""
        _release(request)
        self._has_sent = False
        self._savedTimeOut = None
        if self.persistent:
            self._owe(bounds.HEAD_SECONDS)
        super().requestDone(request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        is_large = self._receivedHeaderSize > self.totalHeadersSize
        is_many = self._receivedHeaderCount > self.maxHeaders
        large = is_large or is_many
        self.refuse(bounds.HEADERS_TOO_LARGE if large else bounds.BAD_REQUEST)

    def end(self, refusal: bounds.Refusal) -> None:
        """End a connection whose client has not sent what is due."""
        if self._has_sent:
            self.refuse(refusal)
        else:
            self._leave()
            self.timeoutConnection()

    def refuse(self, refusal: bounds.Refusal) -> None:
        """Answer, and close once the client has had time to read the response."""
        if self._is_refused:
            return
        self._is_refused = True
        self._leave()
        self.clearLineBuffer()
        self.setTimeout(None)
        self._transferDecoder = None
        for request in self.requests:
            _release(request)
        if self._handlingRequest:
            # The client would take this for the response to its previous request.
            self.transport.abortConnection()
            return
        self.transport.write(refusal.wire)
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        abort = self.transport.abortConnection
        self._deadline = reactor.callLater(bounds.LINGER_SECONDS, abort)

    def keep(self, request: WebRequest, data: bytes) -> None:
        """Keep part of a request's body, within the limit that Twisted lacks."""
        if self._is_refused:
            return
        step = self._body_bytes // bounds.BODY_STEP_BYTES
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body_bytes:
            self.refuse(bounds.BODY_TOO_LARGE)
            return
        request.content.write(data)
        if self._body_bytes // bounds.BODY_STEP_BYTES > step:
            self._owe(bounds.BODY_SECONDS)

    def _owe(self, seconds: float) -> None:
        self._cancel_deadline()
        self.crowd.wait(self)
        end = partial(self.end, bounds.TIMED_OUT)
        self._deadline = reactor.callLater(seconds, end)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _leave(self) -> None:
        """Stop counting this connection and end its deadline."""
        self._cancel_deadline()
        self.crowd.discard(self)


def _release(request: WebRequest) -> None:
    """Free what a request that is over holds; Daphne keeps it for a second or two."""
    request.requestHeaders, request.clean_headers = Headers(), []
    # Set by BoundedServer.protocol_connected, it refers to the request itself.
    request.__dict__.pop("handleContentChunk", None)


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
        self._address, self._turns = str(self.transport.getPeer().host), _turns.get()

    def dataReceived(self, data: bytes) -> None:
        """Read at once from a client whose token was accepted, from others in turn."""
        is_known = self.inbound.is_authenticated and not self._is_waiting
        if is_known or self.state == self.STATE_CONNECTING:
            self._read(data)
            return
        self._is_waiting = True
        self.transport.stopReading()
        # One byte too many is enough to end it.
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

    def connectionLost(self, reason: Any) -> None:
        """Release everything."""
        self._is_over = True
        super().connectionLost(reason)
        if self._abortion is not None and self._abortion.active():
            self._abortion.cancel()
        self._release()
        self.request = self.http_headers = self.http_request_data = None
        self.clean_headers: list[tuple[bytes, bytes]] = []
        # Its result is this socket.
        self.is_closed = None

    def _end_flood(self) -> None:
        if not self._is_over:
            self._is_over = True
            if self.state == self.STATE_OPEN:
                code = CloseCode.TOO_MANY_FRAMES
                self.sendCloseFrame(int(code), code.reason.encode())
            self.dropConnection()
            self._release()
            abort = self.transport.abortConnection
            self._abortion = reactor.callLater(bounds.LINGER_SECONDS, abort)

    def _release(self) -> None:
        """Free what was received, which Autobahn keeps until garbage is collected."""
        self.data = b""
        self.frame_data = self.message_data = self.control_frame_data = None


class CalmPort(Port):
    """Takes connections off the kernel's queue quickly, and opens them in turn.

    The queue knows no addresses: who waited there behind a thousand others would wait
    for all of them. Twisted opens each as it accepts it, which takes ten times as long.
    """

    numberAccepts = 1
    """For Twisted, which then has an error to handle."""

    sessionno: int

    waiting = 0
    """Accepted connections that are not open yet."""

    def doRead(self) -> None:
        """Accept connections."""
        room = get_settings().max_http_connections - self.waiting
        for _ in range(min(ACCEPTS, room)):
            try:
                client, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError:
                super().doRead()
                return
            if descriptors.is_kept_free(client.fileno()):
                client.close()
                continue
            self.waiting += 1
            _turns.get().run(str(address[0]), partial(self._open, client, address))

    def _open(self, client: socket, address: Any) -> None:
        self.waiting -= 1
        protocol = self.factory.buildProtocol(self._buildAddr(address))
        number, self.sessionno = self.sessionno, self.sessionno + 1
        transport = self.transport(
            client, protocol, address, self, number, self.reactor
        )
        protocol.makeConnection(transport)


class BoundedServer(Server):
    """Daphne's server, with the connections above."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._context = copy_context()

    @property
    def http_factory(self) -> Any:
        """The factory of HTTP connections."""
        return self._http_factory

    @http_factory.setter
    def http_factory(self, factory: Any) -> None:
        # Daphne creates the factory where it cannot be overridden otherwise.
        factory.protocol = BoundedChannel
        self._http_factory = factory

    @property
    def ws_factory(self) -> Any:
        """The factory of WebSockets."""
        return self._ws_factory

    @ws_factory.setter
    def ws_factory(self, factory: Any) -> None:
        factory.protocol = BoundedWebSocket
        self._ws_factory = factory

    def listen_success(self, port: Any) -> None:
        """Make a port that was opened take turns."""
        super().listen_success(port)
        if type(port) is Port:
            # The reactor creates it, and asks for no class.
            port.__class__ = CalmPort

    def protocol_connected(self, protocol: Any) -> None:
        """Bound the body that a request keeps."""
        super().protocol_connected(protocol)
        if isinstance(protocol, WebRequest):
            protocol.handleContentChunk = partial(protocol.channel.keep, protocol)
            # Otherwise Twisted parses forms, too, and disconnects on a malformed one.
            protocol._parsePOSTFormSubmission = False

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Pass a socket's budget to the application."""
        if isinstance(protocol, BoundedWebSocket):
            scope["extensions"] = {INBOUND_EXTENSION: protocol.inbound}
        # A pipelined request starts inside the call that answers the one before it.
        create = super().create_application
        return self._context.copy().run(create, protocol, scope)


class Command(CommandLineInterface):
    """The command ``daphne``, with this server."""

    server_class = BoundedServer


if __name__ == "__main__":
    Command.entrypoint()
