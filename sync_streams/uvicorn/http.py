"""HTTP for uvicorn in which whatever a client sends has an end.

uvicorn's own class takes heads of any length, waits for ever for the rest of a request,
queues every pipelined one, and drops the body of a request that offers an upgrade
(https://github.com/Kludex/uvicorn/issues/1501); here each has the bound that
:mod:`sync_streams.bounds` names.
"""

import asyncio
import logging
from enum import Enum
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from sync_streams import bounds, descriptors
from sync_streams.conf import get_settings
from sync_streams.connections.frame_path import HTTP_EXTENSION, HttpPath

from .frame_path import FramePathProtocol
from .publish_path import (
    Answerer,
    decode_path,
    find_endpoint,
    read_head,
    split_request,
    write_reply,
)

Headers = list[tuple[bytes, bytes]]

SLICE_BYTES = 4096
"""What the parser is fed at a time, since it cannot be stopped in between."""


class Phase(Enum):
    """What the client owes, or that it is the server's turn."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"


class _Flow(FlowControl):
    """uvicorn's flow control, which goes on reading at each answer and each receive."""

    is_held = False
    """Whether what was read already has to wait."""

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, bounded in bytes, time and connections.

    Refuses with 400, 408, 413, 414, 431 or 503, always with Twilio's JSON body and
    ``Connection: close``. A connection from which nothing came is closed without one.
    """

    flow: _Flow

    owing: ClassVar[dict["BoundedHttpProtocol", None]] = {}
    """Connections whose client has to send something, the longest first."""

    total: ClassVar[set["BoundedHttpProtocol"]] = set()
    """Every connection that is not a WebSocket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Begin as uvicorn does."""
        super().__init__(*args, **options)
        self._phase = Phase.HEAD
        self._requests = self._head_bytes = self._body_bytes = self._wire_bytes = 0
        self._max_body_bytes = 0
        self._rest = b""
        self._has_cycle = self._has_left = self._is_refused = False
        self._lingered = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._watched: object = None
        self._unread: asyncio.TimerHandle | None = None
        self._endpoint = find_endpoint(self.config)
        self._last_head, self._expected_bytes = b"", 0
        self._answerer: Answerer | None = None
        self._answered = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._path: HttpPath | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection in; where all are taken, the longest idle one goes."""
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self.total.add(self)
        self.owing[self] = None
        self._watch()
        is_full = len(self.total) > get_settings().max_http_connections
        if is_full or descriptors.is_last(transport.get_extra_info("socket").fileno()):
            next(iter(self.owing))._end(bounds.NO_PLACE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._tell_path(is_writable=False)
        self._leave()
        if self._unread is not None:
            self._unread.cancel()
        self._end_cycles()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, as far as the bounds go."""
        if self._is_refused:
            self._linger(len(data))
            return
        self._unset_keepalive_if_required()
        if self._is_idle() and self._answer_at_once(data):
            return
        self._rest += data
        self._read()

    def on_response_complete(self) -> None:
        """Read on behind an answered request, or end."""
        super().on_response_complete()
        self._answered = self.loop.time()
        if self.transport.is_closing():
            self._abort_unless_read()
        elif not self._is_busy():
            self.owing[self] = None
            if self._rest:
                self._unset_keepalive_if_required()
                # Later, since this is the turn of the one that answers.
                self.loop.call_soon(self._read)

    def pause_writing(self) -> None:
        """Give the client its time to read."""
        super().pause_writing()
        self._tell_path(is_writable=False)
        self._abort_unless_read()

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        self._tell_path(is_writable=True)
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection."""
        super().timeout_keep_alive_handler()
        self._abort_unless_read()

    def shutdown(self) -> None:
        """End; a response that goes on for long ends itself, if it can."""
        path = self._path
        if path is not None and path.close is not None and path.is_writable():
            path.close()
        super().shutdown()

    # Parser callbacks. After a refusal the parser goes on to the end of its slice.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._phase, self._body_bytes, self._wire_bytes = Phase.HEAD, 0, 0
        self._has_cycle = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body is of no use to anybody."""
        if self._phase is not Phase.HEAD or self._is_refused:
            return
        super().on_header(name, value)
        if len(self.headers) > bounds.MAX_HEADERS:
            self._refuse(bounds.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Hand the request to the application, unless it goes to another protocol."""
        self._phase = Phase.BODY
        if self._is_refused:
            return
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            return
        target = self.url.partition(b"?")[0].decode("latin-1")
        self._max_body_bytes = bounds.max_body_bytes(target)
        if _declared_bytes(self.headers) > self._max_body_bytes:
            self._refuse(bounds.BODY_TOO_LARGE)
            return
        self._has_cycle = True
        super().on_headers_complete()
        self._offer_path()

    def _offer_path(self) -> None:
        """Let an event stream past ASGI, in HTTP/1.1, where there are chunks."""
        self._path = None
        accept = dict(self.headers).get(b"accept", b"")
        if (
            b"text/event-stream" not in accept
            or self.parser.get_http_version() != "1.1"
        ):
            return
        cycle, flow = self.cycle, self.flow

        def is_writable() -> bool:
            is_streaming = cycle.chunked_encoding and not cycle.response_complete
            return bool(is_streaming and not cycle.disconnected) and not (
                flow.write_paused or self.transport.is_closing()
            )

        self._path = HttpPath(write=self.transport.write, is_writable=is_writable)
        extensions: dict[str, Any] = {HTTP_EXTENSION: self._path}
        self.scope["extensions"] = cast("Any", extensions)

    def _tell_path(self, *, is_writable: bool) -> None:
        if self._path is not None:
            self._path.set_writable(is_writable and self._path.is_writable())

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body to the application."""
        if self._is_refused or self.parser.should_upgrade():
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            self._refuse(bounds.BODY_TOO_LARGE)
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the client's part for done."""
        if self._is_refused or self.parser.should_upgrade():
            return
        self._phase, self._head_bytes, self._has_cycle = Phase.ANSWER, 0, False
        self._requests += 1
        self.owing.pop(self, None)
        super().on_message_complete()

    # Publishing

    def _is_idle(self) -> bool:
        """Tell whether what comes next is the beginning of a request."""
        is_begun = self._rest or self._head_bytes or self._phase is Phase.BODY
        return not (is_begun or self.pipeline or self._is_busy())

    def _answer_at_once(self, data: bytes) -> bool:
        """Answer a request to publish, if that is all that came."""
        is_logged = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        if self._endpoint is None or is_logged or self.flow.write_paused:
            return False
        head, body = split_request(data)
        # Whoever publishes again does so with the same head, as a rule.
        if head != self._last_head:
            self._last_head, self._answerer = head, self._find_answerer(head)
        if self._answerer is None or len(body) != self._expected_bytes:
            return False
        reply = self._answerer(body)
        if reply is None:
            return False
        self.transport.write(write_reply(reply, self.server_state.default_headers))
        self._rest_until_next()
        return True

    def _rest_until_next(self) -> None:
        """Do as :meth:`on_response_complete` does, without timers for each request."""
        self._requests += 1
        self.server_state.total_requests += 1
        self.owing.pop(self, None)
        self.owing[self] = None
        self._answered = self.loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self._watched = None
        if self._idle is None:
            seconds = self.timeout_keep_alive
            self._idle = self.loop.call_later(seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle = None
        left = self._answered + self.timeout_keep_alive - self.loop.time()
        # A request of the ordinary way has timers of its own.
        if not self._is_idle() or self._deadline is not None:
            return
        if left > 0:
            self._idle = self.loop.call_later(left, self._end_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def _find_answerer(self, data: bytes) -> Answerer | None:
        head = read_head(data)
        if head is None or self._endpoint is None:
            return None
        self._expected_bytes = head.body_bytes
        return self._endpoint(
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "POST",
                "path": self.root_path + decode_path(head.target),
                "raw_path": self.root_path.encode() + head.target,
                "query_string": b"",
                "root_path": self.root_path,
                "scheme": self.scheme,
                "headers": head.headers,
                "server": self.server,
                "client": self.client,
            }
        )

    # Reading

    def _is_busy(self) -> bool:
        cycle = self._newest
        is_answered = cycle is None or cycle.response_complete
        return self._phase is not Phase.BODY and not is_answered

    @property
    def _newest(self) -> RequestResponseCycle | None:
        return self.cycle  # which is None at first, whatever its type says

    def _read(self) -> None:
        data, self._rest = memoryview(self._rest), b""
        while data and not self._has_left and not self._is_busy():
            # Even if it is but empty lines, it has to become a request in time.
            if self._phase is Phase.ANSWER:
                self._phase = Phase.HEAD
            data = self._feed(data)
        if self._has_left or self.transport.is_closing():
            return
        # Pipelined: it waits until the one before is answered.
        self._rest = bytes(data)
        self.flow.is_held = bool(data)
        if data:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()
        self._watch()

    def _feed(self, data: memoryview) -> memoryview:
        """Feed the parser one slice and return what follows it."""
        size = SLICE_BYTES
        if self._phase is Phase.HEAD:
            room = bounds.MAX_HEAD_BYTES - self._head_bytes
            if not room:
                is_line = not self.headers
                refusal = bounds.LINE_TOO_LONG if is_line else bounds.HEADERS_TOO_LARGE
                self._refuse(refusal)
                return data
            size = min(size, room)
        part, number = data[:size], self._requests
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(bounds.BAD_REQUEST)
            return data
        self._count(len(part), is_same=number == self._requests)
        return data[size:]

    def _count(self, size: int, *, is_same: bool) -> None:
        if self._phase is Phase.BODY:
            # Chunk sizes, their extensions and trailers are no body, and have no end.
            self._wire_bytes += size
            if self._wire_bytes > self._max_body_bytes + bounds.MAX_HEAD_BYTES:
                self._refuse(bounds.BODY_TOO_LARGE)
        elif is_same:
            self._head_bytes += size

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _upgrade(self, rest: memoryview) -> memoryview:
        if self._is_refused:
            return rest
        if self.scope["method"] == "CONNECT":
            self._refuse(bounds.BAD_REQUEST)
        elif not self._should_upgrade():
            return self._without_upgrade(rest)
        elif rest or _declared_bytes(self.headers) or not self._is_answered():
            # Nothing comes before the handshake's answer: RFC 6455, section 4.1. Nor
            # may the answer to a request before it be written into the WebSocket.
            self._refuse(bounds.BAD_REQUEST)
        else:
            self.handle_websocket_upgrade()
        return rest[:0]

    def _without_upgrade(self, rest: memoryview) -> memoryview:
        """Read a request again as if it did not offer an upgrade, such as to h2c.

        The parser takes the offer for agreed on and the body for another protocol's,
        but it is the server's to accept (RFC 9110, section 7.8).
        """
        headers = [header for header in self.headers if header[0] != b"upgrade"]
        head = self._head(headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(head)
        return rest

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol."""
        self._leave()
        self.connections.discard(self)
        protocol = self.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config,
            server_state=self.server_state,
            app_state=self.app_state,
        )
        headers = self.headers
        if isinstance(protocol, FramePathProtocol):
            headers = protocol.take_headers(headers)
        protocol.connection_made(self.transport)
        protocol.data_received(self._head(headers))
        self.transport.set_protocol(protocol)

    def _head(self, headers: Headers) -> bytes:
        version = self.parser.get_http_version().encode()
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
        return b"".join(
            (line, *(b"%b: %b\r\n" % header for header in headers), b"\r\n")
        )

    # Ends

    def _watch(self) -> None:
        """Give the client its time for what it owes now."""
        steps = self._body_bytes // bounds.BODY_STEP_BYTES
        owed = (self._requests, self._phase, steps)
        if owed == self._watched:
            return
        self._watched = owed
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._is_busy():
            return
        is_body = self._phase is Phase.BODY
        seconds = bounds.BODY_SECONDS if is_body else bounds.HEAD_SECONDS
        self._deadline = self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if self._phase is Phase.BODY and self.flow.read_paused:
            # It is the application that does not read.
            self._watched = None
            self._watch()
        else:
            self._end(bounds.TIMED_OUT)

    def _end(self, refusal: bounds.Refusal) -> None:
        if self._phase is Phase.BODY or self._head_bytes:
            self._refuse(refusal)
        else:
            self._leave()
            self.transport.close()

    def _refuse(self, refusal: bounds.Refusal) -> None:
        """Answer, and close when the client has had time to read it."""
        self._is_refused = True
        self._leave()
        # Of this request, or else of the one before.
        cycle = self._newest
        if cycle is not None and self._has_cycle:
            is_free = not (self.pipeline or cycle.response_started)
        else:
            is_free = self._is_answered()
        self._end_cycles()
        if not is_free:
            # What came now would be taken for the answer to another request.
            self.transport.abort()
            return
        self.transport.write(refusal.wire)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.is_held = False
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(
            bounds.LINGER_SECONDS, self.transport.abort
        )

    def _is_answered(self) -> bool:
        """Tell whether no request that the application has is without its answer."""
        cycle = self._newest
        return not self.pipeline and (cycle is None or cycle.response_complete)

    def _end_cycles(self) -> None:
        """Let the application write no more; uvicorn tells the newest request only."""
        for cycle in (self._running, self._newest):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > bounds.LINGER_BYTES:
            self.transport.abort()

    def _leave(self) -> None:
        """Be counted and watched no more."""
        self._has_left = True
        self._unset_keepalive_if_required()
        self.total.discard(self)
        self.owing.pop(self, None)
        for timer in (self._deadline, self._idle):
            if timer is not None:
                timer.cancel()
        self._deadline = self._idle = None

    def _abort_unless_read(self) -> None:
        if self._unread is None and self.transport.get_write_buffer_size():
            self._unread = self.loop.call_later(
                bounds.UNREAD_SECONDS, self.transport.abort
            )


def _declared_bytes(headers: Headers) -> int:
    """Return how long the body is said to be; chunked: 1, since it may be anything."""
    found = dict(headers)
    if b"transfer-encoding" in found:
        return 1
    # The parser has refused what is no number.
    return int(found.get(b"content-length", b"0"))
