"""ASGI middleware: how many requests an application works on at a time.

Django runs each synchronous view in a thread of its own, so a thousand requests at once
are a thousand threads, and none of them ends. Here some have a place, some wait for
one, and the others are told to come back::

    application = BoundedRequests(get_asgi_application())

A request has a place from the moment its body is there, so that nobody holds one by
sending slowly, until it is answered.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import bounds
from .conf import get_settings

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

WAIT_SECONDS = 5
"""Time that a request waits for a place."""

STREAM_SECONDS = 10
"""Time after which an answer that goes on, such as server-sent events, holds none."""

SMALL_BODY_BYTES = 16_384
"""What every request may hold while it waits: above the body of any Message."""

LARGE_BODIES_BYTES = 16_777_216
"""What the bodies above it may hold together."""


class Refused(Exception):
    """The request ends here."""

    def __init__(self, refusal: bounds.Refusal) -> None:
        super().__init__(refusal.error.text)
        self.refusal = refusal


class Places:
    """Places of an application, and who waits for one, by address in turn."""

    def __init__(self) -> None:
        """Begin with every place free."""
        self._taken = self._waiting = 0
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, address: str) -> Callable[[], None]:
        """Wait for a place and return what gives it back, once.

        Raises:
            Refused: 503, as many wait as may (``max_waiting_requests``), half of them
                from this address, or none was free for 5 seconds.
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
            # It came at the same moment.
            self._pass_on()
            return
        line = self._lines.get(address, deque())
        if turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[address]

    def _pass_on(self) -> None:
        """Let the first of the next address have a place that is given back."""
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
    """Lets an application work on ``max_requests`` HTTP requests at a time."""

    def __init__(self, application: Application) -> None:
        """Stand before *application*."""
        self._application = application
        self._places = Places()
        self._large_bytes = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve a request when there is a place for it."""
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
        """Offer what counts a body against the room for all of them."""
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
    """Return the events of a body: all, or of an upload what the API would take.

    Raises:
        Refused: 413, it exceeds *most*; 503, there is no room for it.
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
    """Return what receives the events that are there, then those to come.

    An upload that exceeds *most* after all ends as if its client had gone.
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
    """Return a *send* that gives the place back if the answer goes on for long.

    An event stream is known from its head to do so.
    """
    timer: asyncio.TimerHandle | None = None

    async def send_on(event: Event) -> None:
        nonlocal timer
        if (b"content-type", b"text/event-stream") in event.get("headers", ()):
            give_back()
        if timer is None and event.get("more_body"):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(STREAM_SECONDS, give_back)
        await send(event)

    return send_on


async def _answer(refusal: bounds.Refusal, send: Send) -> None:
    head = {"status": refusal.status, "headers": refusal.headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": refusal.body})
