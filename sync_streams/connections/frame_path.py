"""Frame path: a server's optional shortcut past ASGI for encoded frames.

The server puts a :class:`FramePath` into the scope's extensions; the consumer fills in
its callbacks.
"""

from collections.abc import Callable
from dataclasses import dataclass

FRAME_EXTENSION = "sync_streams.websocket.frame"
"""ASGI extension of servers that take encoded frames; see ``sync_streams.uvicorn``."""


def _ignore(_: bool) -> None:
    return


def _nothing() -> None:
    return


def _decline(_data: bytes, _is_text: bool, _is_next: bool) -> bool:
    return False


HTTP_EXTENSION = "sync_streams.http.chunk"
"""ASGI extension of servers that accept encoded chunks of an ongoing response."""


LIVE_EXTENSION = "sync_streams.http.live"
"""ASGI extension of :class:`sync_streams.concurrency.BoundedRequests`: a function with
which a response that lasts until somebody ends it returns its place and its thread."""


@dataclass(slots=True, eq=False)
class HttpPath:
    """A response's shortcut past ASGI, from its first chunk on."""

    write: Callable[[bytes], object]
    """Writes whole HTTP/1.1 chunks without waiting."""

    is_writable: Callable[[], bool]
    """Returns whether ``write`` may be called now."""

    count: Callable[[], object] = _nothing
    """Tells the server that the application counts this connection from now on, so that
    it does not count towards ``max_http_connections`` until the response ends."""

    set_writable: Callable[[bool], None] = _ignore
    """Called by the server when the path opens and when it closes."""

    close: Callable[[], None] | None = None
    """Called when the server stops, to notify the client and end the response."""


@dataclass(slots=True, eq=False)
class FramePath:
    """One socket's shortcut past ASGI."""

    write: Callable[[bytes], object]
    """Writes whole encoded frames without waiting."""

    abort: Callable[[], object]
    """Ends the connection without waiting for the peer to read."""

    set_writable: Callable[[bool], None] = _ignore
    """Called by the server when the path opens and when it closes."""

    take: Callable[[bytes, bool, bool], bool] = _decline
    """Called with each whole frame, whether it is text, and whether the application
    waits for one, so that all earlier frames have been answered or are about to be;
    returns whether it has handled the frame."""

    close: Callable[[], None] | None = None
    """Called when the server stops, to notify the client and close the connection. If
    not set, the server closes the connection itself."""

    def release(self) -> None:
        """Stop calling the application, whose connection is closed."""
        self.set_writable, self.take, self.close = _ignore, _decline, None
