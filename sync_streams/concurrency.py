"""ASGI middleware: bounds the number of requests an application handles at a time.

Django runs each synchronous view in its own thread, so a thousand concurrent requests
mean a thousand threads, none of which finishes. Here some requests have a place, some
wait for one, and all others are told to retry::

    application = BoundedRequests(get_asgi_application())

A request takes a place once its body is complete, so that a slow sender holds none, and
keeps it until it is answered. With its place it gets a thread, which later serves
another request: the process keeps as many threads as were ever needed at the same time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .conf import get_settings
from .connections import bounds
from .connections.frame_path import LIVE_EXTENSION
from .connections.places import Gone, Places, Refused
from .errors import InvalidParameter
from .processes.request_threads import lenders
from .rest.bodies import read_media_type

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
GiveBack = Callable[[], None]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

STREAM_SECONDS = 10
"""Time after which a long response gives its place back, if it is not live."""

SMALL_BODY_BYTES = 16_384
"""Size of a body that any waiting request may hold: more than any Message needs."""

LARGE_BODIES_BYTES = 16_777_216
"""Limit of what all larger bodies together may hold beyond that."""


class BoundedRequests:
    """Passes an application ``max_requests`` HTTP requests at a time."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._places = Places()
        self._large_bytes = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve a request once there is a place for it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except Refused as refused:
            await _answer(refused.refusal, send)
        except Gone:
            pass

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive, bounds.max_body_bytes(scope["path"]))
        try:
            with self._room() as reserve:
                await incoming.take_in(reserve)
                _check_media_type(scope.get("headers", ()))
                address = (scope.get("client") or ("",))[0]
                give_back = await self._places.take(address, incoming.leaving)
            try:
                await self._run(scope, incoming, send, give_back)
            finally:
                give_back()
        finally:
            incoming.close()

    async def _run(
        self, scope: Any, incoming: "Incoming", send: Send, give_back: GiveBack
    ) -> None:
        async with lenders.get().lend(get_settings().max_requests) as return_thread:

            def go_live() -> None:
                give_back()
                return_thread()

            extensions = {**(scope.get("extensions") or {}), LIVE_EXTENSION: go_live}
            scope = {**scope, "extensions": extensions}
            send = _watched(send, give_back, go_live)
            await self._application(scope, incoming.receive, send)

    @contextmanager
    def _room(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts a body against their common memory limit."""
        held = 0

        def reserve(size: int) -> None:
            nonlocal held
            more = max(0, size - SMALL_BODY_BYTES) - held
            if self._large_bytes + more > LARGE_BODIES_BYTES:
                raise Refused(bounds.NO_PLACE)
            held += more
            self._large_bytes += more

        try:
            yield reserve
        finally:
            self._large_bytes -= held


class Incoming:
    """What a client sends: its body, as events, and then its departure."""

    def __init__(self, receive: Receive, most: int) -> None:
        """Prepare to read from the client.

        Args:
            receive: the server's.
            most: maximum size of the body.
        """
        self._receive, self._most, self._size = receive, most, 0
        self._events: deque[Event] = deque()
        self._next: asyncio.Task[Event] | None = None
        self._is_whole = False

    async def take_in(self, reserve: Callable[[int], None]) -> None:
        """Read a body; of an upload, only the first ``max_body_bytes``.

        Raises:
            Refused: 413, it is too large; 503, there is no memory left for it.
            Gone: the client has left.
        """
        while self._size <= get_settings().max_body_bytes and not self._is_whole:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise Gone
            self._events.append(event)
            self._size += len(event.get("body", b""))
            if self._size > self._most:
                raise Refused(bounds.BODY_TOO_LARGE)
            reserve(self._size)
            self._is_whole = not event.get("more_body")

    def leaving(self) -> "asyncio.Task[Event] | None":
        """Return a task that ends when the client leaves; none during an upload."""
        if self._is_whole:
            self._next = asyncio.ensure_future(_next_of(self._receive))
        return self._next

    async def receive(self) -> Event:
        """Return the next event, starting with the body.

        An upload that turns out to be too large ends as if its client had left.
        """
        if self._events:
            return self._events.popleft()
        if self._next is not None:
            coming, self._next = self._next, None
            return await coming
        event = await self._receive()
        self._size += len(event.get("body", b""))
        return event if self._size <= self._most else {"type": "http.disconnect"}

    def close(self) -> None:
        """Stop listening to the client."""
        if self._next is not None:
            self._next.cancel()


def _check_media_type(headers: Headers) -> None:
    """Refuse a request whose type Django fails to parse before it calls any view.

    Its exception leaves the application, whatever the path.

    Raises:
        Refused: 400.
    """
    values = [value for name, value in headers if name == b"content-type"]
    try:
        read_media_type(b",".join(values).decode("latin-1"))
    except InvalidParameter:
        raise Refused(bounds.BAD_REQUEST) from None


async def _next_of(receive: Receive) -> Event:
    # A server may return any awaitable.
    return await receive()


def _watched(send: Send, give_back: GiveBack, go_live: GiveBack) -> Send:
    """Return a *send* that gives the place back during a long response.

    A host project's own event stream is live as soon as its head is sent: it returns
    the thread as well, which is needed once more when the response ends. Responses of
    this package say so themselves (``LIVE_EXTENSION``).
    """
    timer: asyncio.TimerHandle | None = None

    async def send_on(event: Event) -> None:
        nonlocal timer
        if _begins_event_stream(event):
            go_live()
        if timer is None and event.get("more_body"):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(STREAM_SECONDS, give_back)
        await send(event)

    return send_on


def _begins_event_stream(event: Event) -> bool:
    # Django keeps capital letters in header names, although ASGI requires lower case.
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in event.get("headers", ())
    )


async def _answer(refusal: bounds.Refusal, send: Send) -> None:
    head = {"status": refusal.status, "headers": refusal.headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": refusal.body})
