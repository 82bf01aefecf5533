"""Daphne's HTTP connection, with a bound on everything that a client sends."""

from enum import Enum
from functools import partial
from typing import Any, ClassVar

from daphne.http_protocol import HTTPFactory
from twisted.internet import reactor
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers

from sync_streams.connections import bounds
from sync_streams.connections.fairness import Crowd
from sync_streams.processes import descriptors

from .flow import Flow
from .request import BoundedRequest
from .turns import turns


class State(Enum):
    """What a connection is doing."""

    SERVING = "serving"
    """It serves requests, or waits for one."""

    REFUSED = "refused"
    """Its client has time to read the reason, and nothing more is read from it."""

    LOST = "lost"
    """It is closed."""


# In Python 3.11 it takes 0.2 µs to look a member up in its class.
SERVING, REFUSED, LOST = State


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
        self._state = SERVING
        self._has_sent = self._is_last = False
        self._lingered = 0
        self._body_bytes = self._wire_bytes = self._max_body_bytes = 0
        self._deadline: Any = None

    def connectionMade(self) -> None:
        """Accept a connection; when full, close the one idle for longest."""
        self.timeOut = None  # there is a deadline
        super().connectionMade()
        self.flow = Flow(self.transport)
        self.address = str(self.transport.getPeer().host)
        self._turns = turns.get()
        self.crowd.add(self)
        self._owe(bounds.HEAD_SECONDS)
        self._is_last = descriptors.is_last(self.transport.fileno())
        if (other := self.crowd.make_room(self, is_last=self._is_last)) is not None:
            other.end(bounds.NO_PLACE)

    def connectionLost(self, reason: Any) -> None:
        """Release everything."""
        self._state = LOST
        self._leave()
        self.flow.resume()
        super().connectionLost(reason)
        for request in self.requests:
            _release(request)
        self.requests.clear()

    def pauseProducing(self) -> None:
        """Pause the response: the transport is full."""
        super().pauseProducing()
        if self.requests:  # it is not a WebSocket by now
            self.flow.pause()

    def resumeProducing(self) -> None:
        """Continue the response: the transport is empty."""
        super().resumeProducing()
        self.flow.resume()

    def dataReceived(self, data: bytes) -> None:
        """Read data within the limits."""
        if self._state is REFUSED:
            self._lingered += len(data)
            if self._lingered > bounds.LINGER_BYTES:
                self.transport.abortConnection()
            return
        self._has_sent = True
        self.transport.stopReading()
        if not self._turns.run(self.address, partial(self._read, data)):
            # It is not waiting for its client now.
            self.crowd.answer(self)

    def _read(self, data: bytes) -> None:
        if self._state is not SERVING:
            return
        if not self._handlingRequest:
            self.crowd.wait(self)
        # The request may stop it again.
        self.transport.startReading()
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """Read a line of a head."""
        if self._state is SERVING:
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
        """Read part of a body, or hold data until a request is answered."""
        # Chunk sizes and extensions are not part of the body and have no limit.
        self._wire_bytes += 0 if self._handlingRequest else len(data)
        if self._wire_bytes > self._max_body_bytes + bounds.MAX_HEAD_BYTES:
            self.refuse(bounds.BODY_TOO_LARGE)
        if self._state is SERVING:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """Pass the request on to be answered."""
        if self._state is not SERVING:
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
        """Release a request that will never be finished otherwise."""
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
        """End a connection after its client has missed a deadline."""
        if self._has_sent:
            self.refuse(refusal)
        else:
            self._leave()
            self.timeoutConnection()

    def refuse(self, refusal: bounds.Refusal) -> None:
        """Send a response, and close once the client has had time to read it."""
        if self._state is not SERVING:
            return
        self._state = REFUSED
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

    def keep(self, request: BoundedRequest, data: bytes) -> None:
        """Keep part of a request's body, within a limit that Twisted lacks."""
        if self._state is not SERVING:
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


class BoundedFactory(HTTPFactory):
    """Creates bounded connections."""

    protocol = BoundedChannel

    def buildProtocol(self, addr: Any) -> Any:
        """Create a connection."""
        channel = super().buildProtocol(addr)
        channel.requestFactory = BoundedRequest
        return channel


def _release(request: BoundedRequest) -> None:
    """Free the data of a finished request, which Daphne keeps for a second or two."""
    request.requestHeaders, request.clean_headers = Headers(), []
