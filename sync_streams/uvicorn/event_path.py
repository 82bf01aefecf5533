"""An event stream's path around ASGI: chunks are written directly."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sync_streams.connections.frame_path import HttpPath

from .heads import Headers


def is_event_stream(headers: Headers, http_version: str) -> bool:
    """Tell whether a request asks for an event stream in HTTP/1.1, which has chunks."""
    accept = dict(headers).get(b"accept", b"")
    return b"text/event-stream" in accept and http_version == "1.1"


def open_path(
    transport: asyncio.Transport, flow: FlowControl, cycle: RequestResponseCycle
) -> HttpPath:
    """Return the path of a request's response."""
    is_writable = _tells_writable(transport, flow, cycle)
    return HttpPath(write=transport.write, is_writable=is_writable)


def tell(path: HttpPath | None, *, is_writable: bool) -> None:
    """Notify the path that the client is reading or has stopped."""
    if path is not None:
        path.set_writable(is_writable and path.is_writable())


def close(path: HttpPath | None) -> None:
    """Ask a long-running response to end itself, if it supports that."""
    if path is not None and path.close is not None and path.is_writable():
        path.close()


def _tells_writable(
    transport: asyncio.Transport, flow: FlowControl, cycle: RequestResponseCycle
) -> Callable[[], bool]:
    def is_writable() -> bool:
        is_streaming = cycle.chunked_encoding and not cycle.response_complete
        return bool(is_streaming and not cycle.disconnected) and not (
            flow.write_paused or transport.is_closing()
        )

    return is_writable
