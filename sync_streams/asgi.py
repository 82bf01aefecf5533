"""ASGI application that answers publish requests and passes on everything else.

A publish is the one request that arrives thousands of times a second. Through Django's
handler, the site's middleware and Django REST framework it costs ten times as much as
here::

    application = ProtocolTypeRouter(
        {"http": PublishEndpoint(get_asgi_application()), "websocket": …}
    )

The responses match those of the Django view byte for byte. ``docs/deployment.md`` says
which middleware is bypassed and how to make up for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from time import perf_counter
from typing import Any

from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpResponse, UnreadablePostError
from django.urls import Resolver404, get_resolver, resolve
from django.utils.log import log_response

from .delivery.hub import get_hub
from .errors import ServiceUnavailable
from .logs import REQUEST_ID
from .rest.answers import is_unforeseen, report_unforeseen
from .rest.bodies import MAX_BODY_BYTES
from .rest.publishing import PublishRequest, PublishResponse, answer, refuse, start
from .rest.site import Headers, Site
from .values.mounts import APP_NAME

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[..., Awaitable[None]]
"""Called with the scope, ``receive`` and ``send``."""

Reply = tuple[int, Headers, bytes]
"""Status, headers and body."""

Tell = Callable[[Reply], None]
Answerer = Callable[[bytes, Tell], bool]
"""Called with a body and a callback for the response."""

Refs = tuple[str, str]
"""The Service's and the Stream's ref in a path."""

BODY_SECONDS = 60
"""Time in which a body must arrive; Django waits as long for each part of one."""

MAX_IGNORED_BYTES = 2_621_440
"""Bytes read of an oversized body before the response; the same limit as Django's."""

TRACE_HEADERS = b"traceparent", b"tracestate"

MAX_HEADER_NAMES = 64
"""Names of headers that are kept as bytes."""

MAX_KEPT_PATHS = 4096
MAX_KEPT_PATH = 512
"""Characters in a path whose resolved URL is cached."""

logger = logging.getLogger("django.request")
faults = logging.getLogger(__name__)


class PublishEndpoint:
    """Answers ``…/v1/Services/{}/Streams/{}/Messages``, wherever it is mounted."""

    def __init__(
        self,
        application: Application,
        *,
        serves: Callable[[Scope], bool] | None = None,
        on_answer: Callable[[Scope, int, float], None] | None = None,
    ) -> None:
        """Wrap an application.

        Args:
            application: receives all other requests and connections.
            serves: decides whether a publish request is answered here. If not, it goes
                through the application with all its middleware.
            on_answer: called after each response given here, with the request's scope,
                the status and the duration in seconds.
        """
        self._application = application
        self._serves, self._on_answer = serves, on_answer
        self._site = Site()
        self._resolve = lru_cache(MAX_KEPT_PATHS)(_resolve)
        self._starting: asyncio.Task[None] | None = None
        # Import the views now, rather than while the first publisher waits.
        _ = get_resolver().url_patterns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "lifespan":
            self._start_hub()
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._application(scope, receive, send)
            return
        started = perf_counter()
        refs, headers, added = found
        request = _request(scope, refs, headers)
        try:
            body = await _read_body(receive) if scope["method"] == "POST" else b""
        except TimeoutError:
            reply = refuse(request, UnreadablePostError(), started=started)
        else:
            if body is None:
                return
            reply = await _answer(request, body, started=started)
        await self._send(scope, send, reply, added)

    def answerer(self, scope: Scope) -> Answerer | None:
        """Return a function that answers request bodies for this scope, if possible.

        For a server that reads whole requests itself. Call the function on the event
        loop, with a callback for the status, headers and body. It returns whether it
        has called it or will do so. If not, it has done nothing, and the request must
        take the ordinary path, as it must if there is no such function.
        """
        found = self._find(scope)
        if found is None or self._serves is not None:
            return None
        refs, headers, added = found
        request = _request(scope, refs, headers)

        def answer_at_once(body: bytes, tell: Tell) -> bool:
            def told(reply: PublishResponse) -> None:
                tell((reply.status, (*reply.headers.items(), *added), reply.body))
                self._finish(scope, reply)

            return start(request, body, told, started=perf_counter())

        return answer_at_once

    def _find(self, scope: Scope) -> tuple[Refs, dict[bytes, bytes], Headers] | None:
        path = scope["path"]
        if not path.endswith(("/Messages", "/Messages/")):
            return None
        find = self._resolve if len(path) <= MAX_KEPT_PATH else _resolve
        refs = find(path.removeprefix(get_script_prefix(scope)))
        if refs is None or (self._serves and not self._serves(scope)):
            return None
        headers = _join(scope["headers"])
        # The site's CORS policy decides about requests from a page, and a query with
        # bytes other than ASCII never reaches a view.
        if b"origin" in headers or not scope.get("query_string", b"").isascii():
            return None
        server = tuple(scope.get("server") or ("unknown", 0))
        added = self._site.examine(headers, scope.get("scheme", "http"), server)
        return None if added is None else (refs, headers, added)

    async def _send(
        self, scope: Scope, send: Send, reply: PublishResponse, added: Headers
    ) -> None:
        start = {"status": reply.status, "headers": _encoded(reply, added)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": reply.body})
        self._finish(scope, reply)

    def _finish(self, scope: Scope, reply: PublishResponse) -> None:
        # The response is sent: a fault here must not lead to a second one.
        try:
            if reply.failure is not None:
                _report(scope, reply, reply.failure)
            if self._on_answer is not None:
                self._on_answer(scope, reply.status, reply.seconds)
        except Exception:
            faults.exception("A response could not be reported")

    def _start_hub(self) -> None:
        # Without a hub no changes are received, so each publish queries the database.
        hub = get_hub()
        is_starting = self._starting is not None and not self._starting.done()
        if not (hub.is_receiving and hub.is_serving) and not is_starting:
            self._starting = asyncio.ensure_future(_start_hub())


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start receiving Messages and changes before the process accepts connections.

    For servers with lifespan support: ``"lifespan"`` of a ``ProtocolTypeRouter``. With
    others the first request starts it. If Redis is unavailable, the start is delayed by
    ``broadcast_timeout_seconds`` at most, and ``readyz`` reports it.
    https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    await receive()
    await _start_hub()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _start_hub() -> None:
    with suppress(ServiceUnavailable):
        await get_hub().start()


async def _answer(
    request: PublishRequest, body: bytes, *, started: float
) -> PublishResponse:
    reply: asyncio.Future[PublishResponse] = asyncio.get_running_loop().create_future()

    def told(response: PublishResponse) -> None:
        if not reply.done():  # the server may have cancelled the request
            reply.set_result(response)

    if start(request, body, told, started=started):
        return await reply
    return await answer(request, body, started=started)


def _resolve(path: str) -> Refs | None:
    """Return the refs in a path without script prefix, if it leads to our view."""
    try:
        match = resolve(path)
    except Resolver404:
        return None
    if match.url_name != "messages" or APP_NAME not in match.app_names:
        return None
    if match.kwargs.keys() != {"service_ref", "stream_ref"}:
        return None
    return match.kwargs["service_ref"], match.kwargs["stream_ref"]


def _join(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name, joining repeated ones as Django does."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, truncated if too large; ``None`` if the client disconnected."""
    event = await receive()
    if event["type"] == "http.disconnect":
        return None
    body = event.get("body", b"")
    return await _read_on(body, receive) if event.get("more_body") else body


async def _read_on(first: bytes, receive: Receive) -> bytes | None:
    body, size, more = bytearray(first), len(first), True
    async with asyncio.timeout(BODY_SECONDS):
        while more and size <= MAX_IGNORED_BYTES:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            part = event.get("body", b"")
            size += len(part)
            body += part[: MAX_BODY_BYTES + 1 - len(body)]
            more = event.get("more_body", False)
    return bytes(body)


def _request(scope: Scope, refs: Refs, headers: dict[bytes, bytes]) -> PublishRequest:
    return PublishRequest(
        method=scope["method"].upper(),
        path=scope["path"],
        service_ref=refs[0],
        stream_ref=refs[1],
        authorization=headers.get(b"authorization", b"").decode("latin-1"),
        address=(scope.get("client") or ("",))[0],
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        unpublished_status=headers.get(b"x-unpublished-status", b"").decode("latin-1"),
        trace_context={
            name.decode(): headers[name].decode("latin-1")
            for name in TRACE_HEADERS
            if name in headers
        },
    )


def _encoded(reply: PublishResponse, added: Headers) -> list[tuple[bytes, bytes]]:
    return [
        (_encoded_name(name), value.encode("latin-1"))
        for name, value in (*reply.headers.items(), *added)
    ]


@lru_cache(MAX_HEADER_NAMES)
def _encoded_name(name: str) -> bytes:
    return name.lower().encode()


def _report(scope: Scope, reply: PublishResponse, failure: Exception) -> None:
    """Log a failure to Django's logger, in Django's format."""
    is_fault = reply.status >= 500
    if not logger.isEnabledFor(logging.ERROR if is_fault else logging.WARNING):
        return
    # Django fails to parse some types, which may be what is reported.
    headers = [header for header in scope["headers"] if header[0] != b"content-type"]
    request = ASGIRequest({**scope, "headers": headers}, BytesIO())
    request.META[REQUEST_ID] = reply.headers["Twilio-Request-Id"]
    response = HttpResponse(status=reply.status)
    if is_unforeseen(failure):
        report_unforeseen(failure, request, response)
    else:
        words = response.reason_phrase, request.path
        log_response("%s: %s", *words, response=response, request=request)
