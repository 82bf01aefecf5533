"""Frame path: passes encoded WebSocket frames from the hub to uvicorn's transport.

``uvicorn --ws sync_streams.uvicorn:FramePathProtocol`` adds an ASGI extension to each
socket's scope; delivery uses it where available and plain ASGI everywhere else. A frame
for a thousand sockets is then encoded once, and each socket costs one write.

uvicorn's own protocol still implements RFC 6455: the handshake, pings, fragments and
the close. See https://www.uvicorn.org/settings/#implementation.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_path_with_query_string,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.exceptions import ProtocolError
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.frames import CloseCode as WebSocketCloseCode
from websockets.protocol import State

from sync_streams.connections import bounds
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.frame_path import FRAME_EXTENSION, FramePath
from sync_streams.connections.inbound import (
    INBOUND_EXTENSION,
    MAX_FRAGMENTS,
    SLICE_BYTES,
    InboundBudget,
)

from .cutoff import cut_off
from .event_queue import EventQueue
from .handshake import (
    HANDSHAKE_HEADERS,
    Handshake,
    read_handshake,
    write_response,
    write_scope,
)
from .heads import Headers
from .small_frames import FrameReader

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGISendEvent,
        WebSocketAcceptEvent,
    )
    from websockets.http11 import Request


class FramePathProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering ``sync_streams.websocket.frame``.

    The extension is a :class:`~sync_streams.connections.frame_path.FramePath`.
    """

    frame_path: FramePath | None = None
    inbound: InboundBudget | None = None
    headers: Headers | None = None
    handshake: Handshake | None = None
    _cutoff: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        """Initialise as uvicorn does, using less memory."""
        super().__init__(*args, **options)
        self.queue: Any = EventQueue()
        self._reader = FrameReader(self.conn)
        # The application pings its clients itself, and tolerates slow answers.
        self.ping_interval = None

    def take_headers(self, headers: Headers) -> Headers:
        """Keep the headers that the HTTP protocol has read; return the handshake's.

        The WebSocket parser accepts at most 128 headers of 8 KiB each, and a site's
        cookies can exceed that.
        """
        self.headers = headers
        return [header for header in headers if header[0] in HANDSHAKE_HEADERS]

    def data_received(self, data: bytes) -> None:
        """Read slice by slice while the client's budget lasts."""
        for start in range(0, len(data), SLICE_BYTES):
            part = data[start : start + SLICE_BYTES]
            if self.transport.is_closing():
                break
            if self.inbound is not None and not self.inbound.spend(size=len(part)):
                self._end_flood()
                break
            try:
                self._read_frames(part)
            except ProtocolError as error:
                self.conn.fail(WebSocketCloseCode.PROTOCOL_ERROR, str(error))
                self.handle_parser_exception()
        if self.transport.is_closing():
            self._limit_reading()

    def eof_received(self) -> None:
        """Limit the time to read what is left: the transport now closes itself."""
        self._limit_reading()

    def _read_frames(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.transport.is_closing():
            frame = self._reader.read(data, at)
            if frame is None:
                at = self._leave_to_parser(data, at)
            elif self.inbound is None or self.inbound.spend(frames=1):
                opcode, content, at = frame
                if not self._is_taken(content, is_text=opcode is Opcode.TEXT):
                    self._pass_on(Frame(opcode, content))
            else:
                self._end_flood()
                return

    def _leave_to_parser(self, data: bytes, at: int) -> int:
        is_handshake = not self.handshake_initiated
        end = len(data) if is_handshake else self._reader.end_of_frame(data, at)
        super().data_received(data[at:end])
        self._answer_bad_handshake()
        return end

    def _pass_on(self, frame: Frame) -> None:
        is_text = frame.opcode is Opcode.TEXT
        handle = super().handle_text if is_text else super().handle_bytes
        handle(frame)

    def _answer_bad_handshake(self) -> None:
        # uvicorn would not respond to this.
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or bounds.BAD_REQUEST.wire)
            self.handshake_complete = self.close_sent = True
            self.transport.close()

    def handle_events(self) -> None:
        """Count incoming frames before any work is done for them."""
        frames = [event for event in self.conn.events if isinstance(event, Frame)]
        control = sum(frame.opcode in CTRL_OPCODES for frame in frames)
        if self.inbound is not None and not self.inbound.spend(
            frames=len(frames), control=control
        ):
            self._end_flood()
        else:
            super().handle_events()

    def handle_ping(self) -> None:
        """Answer, unless the client does not read: pongs would pile up unbounded."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """Accept a fragment, up to a bound."""
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self._end_flood()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on, unless it is meant to be text but is not."""
        # uvicorn would log a traceback for each.
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(WebSocketCloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def take_handshake(self, target: bytes, headers: Headers) -> bool:
        """Begin a connection from the headers of its handshake, if it is a plain one.

        Returns:
            Whether it was; otherwise the parser has to read it.
        """
        # Only the parser negotiates extensions.
        is_usual = not self.config.ws_per_message_deflate
        handshake = read_handshake(headers) if is_usual else None
        if handshake is None or not target.isascii():
            return False
        self.handshake, self.handshake_initiated = handshake, True
        # From here on the parser reads frames.
        self.conn.state = State.OPEN
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)
        self.scope = write_scope(self, handshake, target.decode(), headers)
        self._add_extensions()
        self._start()
        return True

    def handle_connect(self, event: "Request") -> None:
        """Add the extensions before the application sees the scope."""
        headers, self.headers = self.headers, None
        super().handle_connect(event)
        if self.response.status_code == 101:
            if headers is not None:
                self.scope["headers"] = headers
            self._add_extensions()

    def _add_extensions(self) -> None:
        self.frame_path = FramePath(
            write=self.transport.write, abort=self.transport.abort
        )
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[FRAME_EXTENSION] = self.frame_path
        self.inbound = extensions[INBOUND_EXTENSION] = InboundBudget()

    def _start(self) -> None:
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def handle_bytes(self, event: Frame) -> None:
        """Offer a frame directly to the application."""
        if not self._is_taken_whole(event, is_text=False):
            super().handle_bytes(event)

    def handle_text(self, event: Frame) -> None:
        """Offer a frame directly to the application."""
        if not self._is_taken_whole(event, is_text=True):
            super().handle_text(event)

    async def send(self, message: "ASGISendEvent") -> None:
        """Send; once the socket is open, free the handshake's headers."""
        if message["type"] == "websocket.close":
            self._tell(is_writable=False)
        if message["type"] == "websocket.accept" and self.handshake is not None:
            self._accept(message, self.handshake)
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            # They are a third of a connection's memory and no longer needed.
            self.request.headers.clear()
            del self.request, self.response
            self._tell(is_writable=self.writable.is_set())
        elif self.close_timer is not None:
            # uvicorn's would only close, and wait for a client that does not read.
            self.close_timer.cancel()
            abort = self.transport.abort
            self.close_timer = self.loop.call_later(self.close_timeout, abort)

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Limit the time to read what is left, if uvicorn has closed the transport."""
        super().on_task_complete(task)
        if self.transport.is_closing():
            self._limit_reading()

    def _accept(self, message: "WebSocketAcceptEvent", handshake: Handshake) -> None:
        self.handshake = None
        if self.disconnected:
            raise ClientDisconnected
        if self.logger.isEnabledFor(logging.INFO):
            target = get_path_with_query_string(self.scope)
            client = get_client_addr(self.scope)
            self.logger.info('%s - "WebSocket %s" [accepted]', client, target)
        if self.transport.is_closing():
            return
        headers = [*self.default_headers, *message.get("headers", ())]
        subprotocol = message.get("subprotocol") or ""
        self.transport.write(write_response(handshake, headers, subprotocol))
        self.handshake_complete = True
        self._tell(is_writable=self.writable.is_set())

    def pause_writing(self) -> None:
        """Close the path: the transport's buffer is full."""
        super().pause_writing()
        self._tell(is_writable=False)

    def resume_writing(self) -> None:
        """Open the path again."""
        super().resume_writing()
        self._tell(is_writable=True)

    def handle_close(self, event: Frame) -> None:
        """Close the path: the peer has sent a close."""
        self._tell(is_writable=False)
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """Close the path: the peer has violated the protocol."""
        self._tell(is_writable=False)
        super().handle_parser_exception()
        self.disconnected = True

    def keepalive_timeout(self) -> None:
        """Close the path: the peer is gone."""
        self._tell(is_writable=False)
        super().keepalive_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the path: the transport is gone."""
        self._tell(is_writable=False)
        if self._cutoff is not None:
            self._cutoff.cancel()
        super().connection_lost(exc)
        # It refers to itself, and would keep received data until a garbage collection.
        self.conn.parser.close()

    def shutdown(self) -> None:
        """Leave closing the connection to the application, if it supports that."""
        close = self.frame_path.close if self.frame_path else None
        if close is not None and not self.disconnected:
            close()
            return
        self._tell(is_writable=False)
        # A client's close that is not sent yet must not be followed by another.
        if not self.transport.is_closing():
            super().shutdown()
        self._limit_reading()

    def _limit_reading(self) -> None:
        """Cut the client off unless it reads in time what is left."""
        if self._cutoff is None:
            self._cutoff = cut_off(self.transport, bounds.LINGER_SECONDS)

    def _end_flood(self) -> None:
        """Close the connection without reading further input."""
        if self.inbound is not None:
            self.inbound.is_exceeded = True
        code = CloseCode.TOO_MANY_FRAMES
        self._tell(is_writable=False)
        self.stop_keepalive()
        self.frames = []
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code)})
        self.conn.data_to_send()  # discards answers to pings in the same data
        self.conn.fail(code, code.reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        # What the application sends from now on is discarded, as after any disconnect.
        self.close_sent = self.disconnected = True
        self.transport.close()

    def _is_taken_whole(self, event: Frame, *, is_text: bool) -> bool:
        return event.fin and self._is_taken(bytes(event.data), is_text=is_text)

    def _is_taken(self, data: bytes, *, is_text: bool) -> bool:
        # Otherwise each frame costs a loop iteration, and two system calls because
        # uvicorn pauses reading for it: too much for one that requests nothing.
        path = self.frame_path
        if path is None or self.close_sent:
            return False
        return path.take(data, is_text, self.queue.is_awaited)

    def _tell(self, *, is_writable: bool) -> None:
        # uvicorn writes whole frames only, so a frame written while the path is open
        # never lands between two fragments or after a close.
        if self.frame_path is not None:
            is_open = self.conn.state is State.OPEN and not self.transport.is_closing()
            is_open = is_open and self.handshake_complete
            self.frame_path.set_writable(is_writable and is_open)
