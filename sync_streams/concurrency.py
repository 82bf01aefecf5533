"""ASGI middleware: bounds the number of requests an application handles at a time.

Django runs each synchronous view in its own thread, so a thousand concurrent requests
mean a thousand threads, none of which finishes. Here some requests have a place, some
wait for one, and the others are told to retry::

    application = BoundedRequests(get_asgi_application())

A request takes a place once its body is complete, so that a slow sender holds none, and
keeps it until it is answered.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .conf import get_settings
from .connections import bounds

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

WAIT_SECONDS = 5
"""Time that a request waits for a place."""

STREAM_SECONDS = 10
"""Time after which an ongoing response, such as server-sent events, holds none."""

SMALL_BODY_BYTES = 16_384
"""Body that any request may hold while it waits: larger than that of any Message."""

LARGE_BODIES_BYTES = 16_777_216
"""What all larger bodies together may hold beyond that."""


class Refused(Exception):
    """Ends the request with a refusal."""

    def __init__(self, refusal: bounds.Refusal) -> None:
        super().__init__(refusal.error.text)
        self.refusal = refusal


class Places:
    """An application's places. Waiting addresses take turns."""

    def __init__(self) -> None:
        self._taken = self._waiting = 0
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, address: str) -> Callable[[], None]:
        """Wait for a place; return a function that gives it back, once.

        Raises:
            Refused: 503: ``max_waiting_requests`` wait already, or half as many from
                this address, or no place became free within 5 seconds.
        """
        if self._taken < get_settings().max_requests:
            self._taken += 1
        else:
            await self._wait(address)
        is_taken = True

        def give_back() -> None:
            nonlocal is_taken
            if is_taken:
                is_taken = False
                self._pass_on()

        return give_back

    async def _wait(self, address: str) -> None:
        most = get_settings().max_waiting_requests
        line = self._lines.get(address, ())
        if self._waiting >= most or len(line) >= (most + 1) // 2:
            raise Refused(bounds.NO_PLACE)
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(address, deque()).append(turn)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            self._step_out(address, turn)
            if isinstance(error, TimeoutError):
                raise Refused(bounds.NO_PLACE) from None
            raise

    def _step_out(self, address: str, turn: "asyncio.Future[None]") -> None:
        if not turn.cancelled():
            # The place was assigned at the same moment.
            self._pass_on()
            return
        line = self._lines.get(address, deque())
        if turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[address]

    def _pass_on(self) -> None:
        """Assign a freed place to the first request of the next address."""
        while self._lines:
            address = next(iter(self._lines))
            line = self._lines.pop(address)
            turn = line.popleft()
            self._waiting -= 1
            if line:
                self._lines[address] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1


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

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        most = bounds.max_body_bytes(scope["path"])
        with self._room() as reserve:
            body = await _take_in(receive, most, reserve)
            address = (scope.get("client") or ("",))[0]
            give_back = await self._places.take(address)
        try:
            receive = _from_the_start(body, receive, most)
            await self._application(scope, receive, _watched(send, give_back))
        finally:
            give_back()

    @contextmanager
    def _room(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts a body against the memory for all of them."""
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


async def _take_in(
    receive: Receive, most: int, reserve: Callable[[int], None]
) -> list[Event]:
    """Return the events of a body; of an upload, the first ``max_body_bytes``.

    Raises:
        Refused: 413, it exceeds *most*; 503, there is no memory left for it.
    """
    events: list[Event] = []
    size = 0
    while size <= get_settings().max_body_bytes:
        event = await receive()
        events.append(event)
        size += len(event.get("body", b""))
        if size > most:
            raise Refused(bounds.BODY_TOO_LARGE)
        reserve(size)
        if not event.get("more_body"):
            break
    return events


def _from_the_start(events: list[Event], receive: Receive, most: int) -> Receive:
    """Return a *receive* that repeats the events received so far, then goes on.

    An upload that turns out to exceed *most* ends as if its client had disconnected.
    """
    waiting = deque(events)
    size = sum(len(event.get("body", b"")) for event in events)

    async def receive_on() -> Event:
        nonlocal size
        if waiting:
            return waiting.popleft()
        event = await receive()
        size += len(event.get("body", b""))
        return event if size <= most else {"type": "http.disconnect"}

    return receive_on


def _watched(send: Send, give_back: Callable[[], None]) -> Send:
    """Return a *send* that gives the place back during a long response.

    For an event stream, it does so as soon as the head is sent.
    """
    timer: asyncio.TimerHandle | None = None

    async def send_on(event: Event) -> None:
        nonlocal timer
        if _begins_event_stream(event):
            give_back()
        if timer is None and event.get("more_body"):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(STREAM_SECONDS, give_back)
        await send(event)

    return send_on


def _begins_event_stream(event: Event) -> bool:
    # Django keeps the capitals of header names, although ASGI asks for small letters.
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in event.get("headers", ())
    )


async def _answer(refusal: bounds.Refusal, send: Send) -> None:
    head = {"status": refusal.status, "headers": refusal.headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": refusal.body})
