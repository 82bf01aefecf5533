"""Frame path: the way past ASGI that a server may offer for encoded frames.

The server puts a :class:`FramePath` into the scope's extensions; the consumer fills in
what it wants to be told.
"""

from collections.abc import Callable
from dataclasses import dataclass

FRAME_EXTENSION = "sync_streams.websocket.frame"
"""ASGI extension of servers that take encoded frames; see ``sync_streams.uvicorn``."""


def _ignore(_: bool) -> None:
    return


def _decline(_data: bytes, _is_text: bool) -> bool:
    return False


HTTP_EXTENSION = "sync_streams.http.chunk"
"""ASGI extension of servers that take chunks of a response that goes on for long."""


@dataclass(slots=True, eq=False)
class HttpPath:
    """A response's way past ASGI, from its first piece on."""

    write: Callable[[bytes], object]
    """Takes whole chunks of HTTP/1.1, without waiting."""

    is_writable: Callable[[], bool]
    """Tells whether it does so now."""

    set_writable: Callable[[bool], None] = _ignore
    """Told by the server when the path opens and when it closes."""

    close: Callable[[], None] | None = None
    """Called when the server stops: end the response, and say so first."""


@dataclass(slots=True, eq=False)
class FramePath:
    """One socket's way past ASGI."""

    write: Callable[[bytes], object]
    """Takes whole encoded frames, without waiting."""

    abort: Callable[[], object]
    """Ends the connection without waiting for the peer to read."""

    set_writable: Callable[[bool], None] = _ignore
    """Told by the server when the path opens and when it closes."""

    take: Callable[[bytes, bool], bool] = _decline
    """Offered each whole frame, and whether it is text; tells whether that was all."""

    take_request: Callable[[bytes, bool], bool] = _decline
    """Offered what ``take`` declines while the application waits for a frame, so that
    every frame before has been answered; tells whether it has answered this one."""

    close: Callable[[], None] | None = None
    """Called when the server stops: end the connection, and say so first. Without it
    the server ends the connection itself."""
