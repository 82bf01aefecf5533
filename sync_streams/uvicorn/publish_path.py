"""Publish path: answers a publish request in the loop iteration in which it arrives.

A server normally spends parser callbacks, a task and two loop iterations on a request,
which cost more than publishing. If the application is a
:class:`~sync_streams.asgi.PublishEndpoint`, wrapped only by uvicorn's own middleware
and Channels' router, complete and plain requests are parsed here. Anything at all
unusual is left to the parser, so no request is interpreted in two ways.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

from channels.routing import ProtocolTypeRouter
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sync_streams.connections import bounds

from .heads import Headers

Reply = tuple[int, Iterable[tuple[str, str]], bytes]
"""Status, headers and body of a response."""

Answerer = Callable[[bytes, Callable[[Reply], None]], bool]
"""Handles a request's body and calls back with the response, now or later; or does
nothing and returns ``False``."""

FindAnswerer = Callable[[dict[str, Any]], Answerer | None]
"""Returns the answerer for requests with a given scope, if there is one."""

MAX_HEAD_BYTES = 4096
MAX_DIGITS = 7
"""Maximum digits of a body's length."""

MAX_DEFAULTS = 8
"""Sets of uvicorn's own headers kept as bytes; its date changes each second."""

END = b"\r\n\r\n"

# RFC 9110 and RFC 9112, without their optional and alternative syntax.
_HEAD = re.compile(
    rb"POST (/(?!/)[!\"$->@-~]*) HTTP/1\.1"
    rb"((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*)+)"
)

_UNUSUAL = frozenset(
    {b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"http2-settings"}
)

_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus
}


def find_endpoint(config: Config) -> FindAnswerer | None:
    """Return a function that finds answerers in uvicorn's application, if any."""
    if config.limit_concurrency is not None or config.limit_max_requests is not None:
        return None
    return _find_in(config.loaded_app)


def _find_in(application: Any) -> FindAnswerer | None:
    find: FindAnswerer | None = getattr(application, "answerer", None)
    if find is not None:
        return find
    # Not a subclass, which may behave differently.
    if type(application) is ProtocolTypeRouter:
        return _find_in(application.application_mapping.get("http"))
    if type(application) is ProxyHeadersMiddleware:
        find = _find_in(application.app)
        return find and partial(_find_behind, application, find)
    return None


def _find_behind(
    proxy: ProxyHeadersMiddleware, find: FindAnswerer, scope: dict[str, Any]
) -> Answerer | None:
    """Find an answerer for a scope with the client and scheme that a proxy reports."""
    found: list[Answerer | None] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        found.append(find(scope))

    changing = copy(proxy)
    changing.app = application
    # It waits for nothing but the application, so it ends with its first step.
    call: Any = changing(*cast("tuple[Any, Any, Any]", (scope, None, None)))
    with suppress(StopIteration):
        call.send(None)
    call.close()
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a plain request."""

    target: bytes
    headers: Headers
    body_bytes: int


def split_request(data: bytes) -> tuple[bytes, bytes]:
    """Return a request's head and body; no head if it is incomplete or too long."""
    end = data.find(END, 0, MAX_HEAD_BYTES)
    return (data[:end], data[end + len(END) :]) if end > 0 else (b"", b"")


def read_head(head: bytes) -> Head | None:
    """Parse a head, if it is a plain one."""
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    headers, seen = [], set()
    for line in match[2].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.lstrip(b"\t ")
        if name in seen or name in _UNUSUAL:
            return None
        seen.add(name)
        headers.append((name, value))
        if name == b"connection" and value.lower() != b"keep-alive":
            return None
    length = dict(headers).get(b"content-length", b"")
    is_sized = length.isdigit() and len(length) <= MAX_DIGITS
    if not is_sized or len(headers) > bounds.MAX_HEADERS:
        return None
    return Head(match[1], headers, int(length))


def decode_path(target: bytes) -> str:
    """Return the path of a request target, decoded as uvicorn does."""
    path = target.decode("ascii")
    return unquote(path) if "%" in path else path


def write_reply(reply: Reply, default_headers: Headers) -> bytes:
    """Return the bytes of a response."""
    status, headers, body = reply
    # Encoding them together takes half the time of encoding each.
    own = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers])
    start = _LINES[status], _write_default(tuple(default_headers))
    return b"".join((*start, own.encode("latin-1"), b"\r\n", body))


@lru_cache(MAX_DEFAULTS)
def _write_default(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class PublishPath:
    """The publish path of one connection.

    A publisher's requests usually have the same head, so it is parsed only once and
    then recognised by its bytes.
    """

    __slots__ = (
        "_answerer",
        "_body_bytes",
        "_find",
        "_last_head",
        "_protocol",
        "is_answering",
    )

    def __init__(self, find: FindAnswerer, protocol: HttpToolsProtocol) -> None:
        self._find, self._protocol = find, protocol
        self._last_head, self._body_bytes = b"", 0
        self._answerer: Answerer | None = None
        self.is_answering = False
        """Whether the response to a request is still to come."""

    def answer(self, data: bytes, write: Callable[[bytes], None]) -> bool:
        """Answer a publish request, if the data is exactly one.

        Returns:
            Whether *write* has been called with the response, or will be.
        """
        head, body = split_request(data)
        if head != self._last_head:
            self._last_head, self._answerer = head, self._find_answerer(head)
        if self._answerer is None or len(body) != self._body_bytes:
            return False

        def told(reply: Reply) -> None:
            self.is_answering = False
            write(write_reply(reply, self._protocol.server_state.default_headers))

        self.is_answering = True
        is_taken = self._answerer(body, told)
        if not is_taken:
            self.is_answering = False
        return is_taken

    def _find_answerer(self, data: bytes) -> Answerer | None:
        head = read_head(data)
        if head is None or head.body_bytes > _max_body_bytes(head):
            return None
        self._body_bytes = head.body_bytes
        return self._find(_scope(self._protocol, head))


def _max_body_bytes(head: Head) -> int:
    return bounds.max_body_bytes(head.target.decode("ascii"))


def _scope(protocol: HttpToolsProtocol, head: Head) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": protocol.asgi_version, "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": protocol.root_path + decode_path(head.target),
        "raw_path": protocol.root_path.encode() + head.target,
        "query_string": b"",
        "root_path": protocol.root_path,
        "scheme": protocol.scheme,
        "headers": head.headers,
        "server": protocol.server,
        "client": protocol.client,
    }
