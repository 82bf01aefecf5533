"""HTTP for uvicorn with a bound on everything that a client sends.

uvicorn's own class accepts heads of any length, waits forever for the rest of a
request, queues every pipelined request, and drops the body of a request that offers an
upgrade (https://github.com/Kludex/uvicorn/issues/1501). Here each has the bound defined
in :mod:`sync_streams.connections.bounds`.
"""

import asyncio
import logging
from contextvars import copy_context
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from sync_streams.connections import bounds
from sync_streams.connections.fairness import Crowd, turns
from sync_streams.processes import descriptors

from . import cycles, upgrade
from .acceptor import acceptors
from .deadlines import Deadlines
from .event_path import EventPath
from .farewell import Farewell
from .flow import Flow
from .intake import BODY, HEAD, Intake
from .publish_path import PublishPath, find_endpoint
from .reader import READ_BYTES, Reader
from .state import ENDING, LEFT, SERVING, STREAMING

MAX_WAITING_BYTES = READ_BYTES
"""Bytes that a connection may send before its turn."""

MAX_PIPELINED = 16
"""Requests that may be parsed before their turn. Usually it is one; more may follow a
body in chunks, since only the parser knows where that ends."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, bounded in bytes, time and connections.

    Refuses with 400, 408, 413, 414, 431 or 503, always with Twilio's JSON body and
    ``Connection: close``. A connection that has sent nothing gets no response.
    """

    flow: Flow

    crowd: ClassVar[Crowd["BoundedHttpProtocol"]] = Crowd()
    """Every connection that is not a WebSocket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._intake = Intake()
        self._rest = self._arrived = b""
        self._state = SERVING
        self._has_cycle = self._is_last = False
        self._farewell: Farewell | None = None
        find = find_endpoint(self.config)
        self._publish_path = PublishPath(find, self) if find is not None else None
        self._running: RequestResponseCycle | None = None
        self._event_path = EventPath()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection; at the limit, close the one that is idle longest."""
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._context = copy_context()
        self._deadlines = Deadlines(self.loop, transport)
        self.address = self.client[0] if self.client else ""
        transport.set_protocol(Reader(self))
        self._turns = turns()
        self.crowd.add(self)
        self._watch()
        number = transport.get_extra_info("socket").fileno()
        self._is_last = descriptors.is_last(number)
        if (other := self.crowd.make_room(self, is_last=self._is_last)) is not None:
            other._end(bounds.NO_PLACE)
        if descriptors.is_kept_free(number):
            transport.abort()
        acceptors.get().accept_more(transport, self._another)

    def _another(self) -> "BoundedHttpProtocol":
        return type(self)(
            self.config, self.server_state, self.app_state, _loop=self.loop
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        self._event_path.tell(is_writable=False)
        self._leave()
        if self._farewell is not None:
            self._farewell.cancel()
        self._deadlines.note_read()
        cycles.disconnect(self._running, cycles.newest(self))
        super().connection_lost(exc)
        self._release()

    def eof_received(self) -> None:
        """Start the time limit to read the rest: the transport now closes itself."""
        self._deadlines.limit_reading()

    def data_received(self, data: bytes) -> None:
        """Read incoming data, within the bounds."""
        if self._state is LEFT:
            if self._farewell is not None:
                self._farewell.take(len(data))
            return
        self._unset_keepalive_if_required()
        self._arrived += data
        if len(self._arrived) >= MAX_WAITING_BYTES:
            self.flow.pause_reading()
        if len(self._arrived) > len(data):
            return  # its turn has come already
        if not self._turns.run(self.address, self._take):
            # It is not waiting for its client now.
            self.crowd.answer(self)

    def _take(self) -> None:
        data, self._arrived = self._arrived, b""
        if self._state is LEFT:
            return
        if not self._is_busy():
            self.crowd.wait(self)
        if self._is_idle() and self._answer_at_once(data):
            self.flow.resume_reading()
            return
        self._rest += data
        self._read()

    def on_response_complete(self) -> None:
        """Continue with the next request, or close."""
        super().on_response_complete()
        self._deadlines.note_answer()
        if self._state is STREAMING:
            self._state = SERVING
            self.crowd.add(self)
        self._deadlines.limit_closing()
        if not (self.transport.is_closing() or self._is_busy()):
            self.crowd.wait(self)
            if self._rest:
                self._unset_keepalive_if_required()
                # Not now: this runs inside the call that writes the response.
                self.loop.call_soon(self._read, context=self._context.copy())

    def pause_writing(self) -> None:
        """Start the time limit for the client to read."""
        super().pause_writing()
        self._event_path.tell(is_writable=False)
        self._deadlines.limit_reading()

    def resume_writing(self) -> None:
        """Stop the time limit: the client reads again."""
        super().resume_writing()
        self._event_path.tell(is_writable=True)
        if not self.transport.is_closing():
            self._deadlines.note_read()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._deadlines.limit_closing()

    def shutdown(self) -> None:
        """Close; a long-running response ends itself if it supports that."""
        self._event_path.close()
        if not self._is_publishing:
            super().shutdown()
            self._deadlines.limit_closing()
        elif self._state is not LEFT:
            self._state = ENDING

    # Parser callbacks. After a refusal the parser still finishes its slice.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._intake.begin()
        self._has_cycle = False
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(bounds.BAD_REQUEST)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Record a header; trailers are ignored."""
        if self._intake.phase is not HEAD or self._state is LEFT:
            return
        super().on_header(name, value)
        if len(self.headers) > bounds.MAX_HEADERS:
            self._refuse(bounds.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Pass the request to the application unless another protocol takes over."""
        self._intake.phase = BODY
        if self._state is LEFT:
            return
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            return
        if refusal := self._intake.take_headers(self.url, self.headers):
            self._refuse(refusal)
            return
        super().on_headers_complete()  # which refuses a target that it cannot read
        self._has_cycle = True
        self._event_path.offer(self, self._stream)

    def _stream(self) -> None:
        if self._state is SERVING:
            self._state = STREAMING
            self.crowd.discard(self)

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body to the application."""
        if self._state is LEFT or self.parser.should_upgrade():
            return
        if refusal := self._intake.take_body(len(body)):
            self._refuse(refusal)
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Mark the request as completely received."""
        if self._state is LEFT or self.parser.should_upgrade():
            return
        self._intake.end()
        self._has_cycle = False
        self.crowd.answer(self)
        super().on_message_complete()

    # Publishing

    def _is_idle(self) -> bool:
        """Tell whether the next data starts a new request."""
        is_begun = self._rest or self._intake.is_begun
        return not (is_begun or self.pipeline or self._is_busy())

    def _answer_at_once(self, data: bytes) -> bool:
        """Answer a publish request, now or later, if the data is exactly one."""
        is_logged = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        path = self._publish_path
        if path is None or is_logged or self.flow.write_paused:
            return False
        is_taken = path.answer(data, self._write_answer)
        if path.is_answering:
            # It is not waiting for its client now.
            self.crowd.answer(self)
            self._deadlines.owe_nothing()
        return is_taken

    def _write_answer(self, answer: bytes) -> None:
        if self._state is LEFT or self.transport.is_closing():
            return
        self.transport.write(answer)
        self._rest_until_next()
        if self._state is ENDING:
            self.shutdown()
        elif self._rest:
            self.loop.call_soon(self._read)

    @property
    def _is_publishing(self) -> bool:
        """Whether a publish was started whose outcome is not known yet."""
        return self._publish_path is not None and self._publish_path.is_answering

    def _rest_until_next(self) -> None:
        """Do what :meth:`on_response_complete` does, without timers per request."""
        self._intake.requests += 1
        self.server_state.total_requests += 1
        self.crowd.answer(self)
        self.crowd.wait(self)
        self._deadlines.note_answer()
        self._deadlines.owe_nothing()
        self._deadlines.limit_idleness(
            self.timeout_keep_alive, self._is_idle, self.timeout_keep_alive_handler
        )

    # Reading

    def _is_busy(self) -> bool:
        cycle = cycles.newest(self)
        is_answered = cycle is None or cycle.response_complete
        is_running = self._intake.phase is not BODY and not is_answered
        return is_running or self._is_publishing

    def _read(self) -> None:
        data, self._rest = memoryview(self._rest), b""
        while data and self._state is not LEFT and not self._is_busy():
            # Even if it is only empty lines, it must become a request in time.
            self._intake.expect()
            data = self._feed(data)
        if self._state is LEFT or self.transport.is_closing():
            return
        # Pipelined: it waits until the previous request is answered.
        self._rest = bytes(data)
        self.flow.is_held = bool(data)
        if data:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()
        self._watch()

    def _feed(self, data: memoryview) -> memoryview:
        """Feed one slice to the parser and return the rest."""
        number = self._intake.requests
        if not self._intake.room:
            is_line = not self.headers
            self._refuse(bounds.LINE_TOO_LONG if is_line else bounds.HEADERS_TOO_LARGE)
            return data
        part = self._intake.cut(data)
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as offer:
            return self._upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(bounds.BAD_REQUEST)
            return data
        is_same = number == self._intake.requests
        if refusal := self._intake.take_slice(len(part), is_same=is_same):
            self._refuse(refusal)
        return data[len(part) :]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        app = cycles.watched(app, cycle, self._deadlines.limit_closing)
        # A pipelined request starts inside the call that answers the previous one. In
        # that context it would get the thread that asgiref has ended.
        self._context.copy().run(super()._start_asgi_task, cycle, app)

    def _upgrade(self, rest: memoryview) -> memoryview:
        if self._state is LEFT:
            return rest
        is_socket = self._should_upgrade()
        if is_socket or self.scope["method"] == "CONNECT":
            refusal = upgrade.refusal(self, rest, is_last=self._is_last)
        else:
            refusal = upgrade.decline(self)
        if refusal is not None:
            self._refuse(refusal)
        elif is_socket:
            self.handle_websocket_upgrade()
        return rest

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection to the WebSocket protocol."""
        self._leave()
        self.connections.discard(self)
        upgrade.open_websocket(self)
        self._release()

    # Ends

    def _watch(self) -> None:
        """Start the time limit for what the client must do now."""
        seconds = None if self._is_busy() else self._intake.seconds
        self._deadlines.owe(self._intake.owed, seconds, self._time_out)

    def _time_out(self) -> None:
        if self._intake.phase is BODY and self.flow.read_paused:
            # It is the application that does not read.
            self._deadlines.owe_nothing()
            self._watch()
        else:
            self._end(bounds.TIMED_OUT)

    def _end(self, refusal: bounds.Refusal) -> None:
        if self._intake.is_begun:
            self._refuse(refusal)
        else:
            self._leave()
            self.transport.close()
            self._deadlines.limit_closing()

    def _refuse(self, refusal: bounds.Refusal) -> None:
        """Send an error response; close once the client has had time to read it."""
        if self._state is LEFT:
            return  # the parser has found a second fault in its slice
        self._leave()
        cycles.disconnect(self._running, cycles.newest(self))
        if not cycles.can_refuse(self, is_passed_on=self._has_cycle):
            # A response now would be mistaken for that of another request.
            self.transport.abort()
            return
        self._farewell = Farewell(self.transport, refusal)
        self.flow.is_held = False
        self.flow.resume_reading()

    def _leave(self) -> None:
        """Remove this connection from the counts and timers."""
        self._state = LEFT
        self._unset_keepalive_if_required()
        self.crowd.discard(self)
        self._deadlines.stop()

    def _release(self) -> None:
        """Free received data now, not at the next garbage collection."""
        self.parser = self._publish_path = None  # type: ignore[assignment]
        self._rest = self._arrived = b""
