"""A live response's path around ASGI: chunks are written directly."""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sync_streams.connections.frame_path import HTTP_EXTENSION, HttpPath


class EventPath:
    """The path of the response that a connection is sending, if that may be live."""

    __slots__ = ("_path",)

    def __init__(self) -> None:
        self._path: HttpPath | None = None

    def offer(self, http: HttpToolsProtocol, count: Callable[[], object]) -> None:
        """Offer a path to the application for the request that was just parsed.

        One that waits for an earlier response is offered none.

        Args:
            http: the connection.
            count: called once the application counts the connection itself.
        """
        if http.pipeline:
            return
        self._path = None
        # Only HTTP/1.1 has chunks.
        if http.scope["method"] != "GET" or http.parser.get_http_version() != "1.1":
            return
        self._path = HttpPath(http.transport.write, _tells_writable(http), count)
        extensions: dict[str, Any] = {HTTP_EXTENSION: self._path}
        http.scope["extensions"] = cast("Any", extensions)

    def tell(self, *, is_writable: bool) -> None:
        """Notify the application that the client is reading or has stopped."""
        if self._path is not None:
            self._path.set_writable(is_writable and self._path.is_writable())

    def close(self) -> None:
        """Ask a long-running response to end itself, if it supports that."""
        path = self._path
        if path is not None and path.close is not None and path.is_writable():
            path.close()


def _tells_writable(http: HttpToolsProtocol) -> Callable[[], bool]:
    transport, flow, cycle = http.transport, http.flow, http.cycle

    def is_writable() -> bool:
        is_streaming = cycle.chunked_encoding and not cycle.response_complete
        return bool(is_streaming and not cycle.disconnected) and not (
            flow.write_paused or transport.is_closing()
        )

    return is_writable
