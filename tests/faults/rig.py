"""Clients that reconnect, and a publisher that accounts for every Message."""

import asyncio
import json
import math
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, WebSocketException

from tests.faults.worker import ACCOUNT
from tests.secrecy import MESSAGE

Figures = Callable[..., None]

WAIT_SECONDS = 30
HISTORY = 30
"""Events that a failed test shows of a subscriber."""
MAX_DUE = 10
"""Answers that a publisher waits for at a time."""
PAUSE_SECONDS = 0.1, 0.5
"""How long a client with a broken connection waits before it reconnects."""


@dataclass
class Span:
    """The life of one connection, on the monotonic clock; Streams by their SIDs."""

    subscribed: dict[str, float] = field(default_factory=dict)
    gaps: dict[str, list[float]] = field(default_factory=dict)
    """When it was notified that Messages may have been lost."""
    is_over: bool = False

    def is_untold(self, sid: str, missed_at: float) -> bool:
        """Return whether neither a gap nor the connection's end has reported a loss."""
        if self.is_over or self.subscribed.get(sid, math.inf) > missed_at:
            return False
        return not any(gap > missed_at for gap in self.gaps.get(sid, ()))


class Subscriber:
    """A JSON socket client that reconnects whenever it is closed or cut off."""

    first = 0
    """The first number that concerns it."""

    def __init__(self, base_url: str, *streams: str) -> None:
        self.url = base_url.replace("http", "ws", 1) + "/v1/websocket"
        self._streams = streams
        self._answers = 0
        self._token = ACCOUNT.token("alice")
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None]
        self.is_subscribed = False
        self.received: dict[int, float] = {}
        """When each number arrived, on the monotonic clock."""
        self.doubles = 0
        self.frames: list[dict[str, Any]] = []
        """All other frames of the server, in order."""
        self.spans: list[Span] = []
        """Its connections, in order."""
        self.sids: dict[str, str] = {}
        """SIDs of its Streams, by the names that it subscribed to."""
        self.lost = 0
        """How often the connection ended."""
        self.history: deque[str] = deque(maxlen=HISTORY)
        """What happened to its connections lately, on the monotonic clock."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await self.until(lambda: self.is_subscribed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(
        self, condition: Callable[[], bool], *, within: float = WAIT_SECONDS
    ) -> None:
        """Wait for a condition that a frame or a connection can change.

        Raises: TimeoutError: with the latest events, for a failed test to show.
        """
        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            lines = f"{self.url}, after {within} s:", *self.history
            raise TimeoutError("\n".join(lines)) from None

    def _record(self, event: str) -> None:
        self.history.append(f"{time.monotonic():.3f} {event}")

    async def _run(self) -> None:
        try:
            await self._stay()
        except Exception as error:
            self._record(f"the client failed: {error!r}")
            raise

    async def _stay(self) -> None:
        while True:
            pause = random.uniform(*PAUSE_SECONDS)
            self._record("connecting")
            try:
                asked = await self._connect()
                pause = pause if asked is None else asked
                self._record(f"closed, reconnecting after {pause:.1f} s")
            except (OSError, TimeoutError, WebSocketException) as error:
                self._record(repr(error))
            if self.is_subscribed:
                self.lost += 1
            for span in self.spans:
                span.is_over = True
            await self._note(is_subscribed=False)
            await asyncio.sleep(pause)

    async def _connect(self) -> float | None:
        """Stay connected until the end; return the pause that was asked for."""
        async with connect(self.url, open_timeout=5) as connection:
            return await self._serve(connection)

    async def _serve(self, connection: ClientConnection) -> float | None:
        pause = None
        self._record("connected")
        first = {"type": "connect", "id": 1, "token": self._token}
        await connection.send(json.dumps(first))
        with suppress(ConnectionClosedError):  # as any code but 1000 and 1001 is
            async for text in connection:
                frame = json.loads(text)
                if frame["type"] != "message":
                    self._record(str(frame))
                if frame["type"] == "closing":
                    pause = frame["reconnect_after"]
                await self._take(connection, frame)
        return pause

    async def _take(self, connection: ClientConnection, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "connected":
                self._answers = 0
                self.spans.append(Span())
                for stream in self._streams:
                    asked = {"type": "subscribe", "id": 2, "stream": stream}
                    await connection.send(json.dumps(asked))
            case "ping":
                await connection.send('{"type":"pong"}')
            case "subscribed":
                await self._take_subscribed(frame["stream"]["sid"])
            case "gap":
                await self._take_gap(frame["stream_sid"])
            case "message":
                await self._take_message(frame)
            case _:
                self.frames.append(frame)
                if frame["type"] == "error":  # too early: the server has problems
                    await connection.close()
                await self._note()

    async def _take_gap(self, sid: str) -> None:
        self.spans[-1].gaps.setdefault(sid, []).append(time.monotonic())
        await self._note()

    async def _take_message(self, frame: dict[str, Any]) -> None:
        self._take_number(frame["message"]["data"]["n"])
        await self._note()

    def _take_number(self, number: int) -> None:
        self.doubles += number in self.received
        self.received[number] = time.monotonic()

    async def _take_subscribed(self, sid: str) -> None:
        self.sids[self._streams[self._answers]] = sid
        self.spans[-1].subscribed[sid] = time.monotonic()
        self._answers += 1
        await self._note(is_subscribed=self._answers == len(self._streams))

    async def _note(self, *, is_subscribed: bool | None = None) -> None:
        async with self._news:
            if is_subscribed is not None:
                self.is_subscribed = is_subscribed
            self._news.notify_all()


@dataclass(slots=True)
class Attempt:
    """One publish over REST."""

    number: int
    stream: str
    began: float
    took: float
    status: int
    """0: the connection broke before an answer came."""

    code: int | None = None


@dataclass
class Publisher:
    """Publishes numbers over REST, each once, and records the outcomes."""

    base_url: str
    stream: str
    headers: dict[str, str] = field(default_factory=dict)
    """Headers in addition to its login."""
    padding: str = ""
    """Padding for its Messages."""
    attempts: list[Attempt] = field(default_factory=list)
    losses: "Losses | None" = None
    """The outcome of its Messages, once they have been accounted for."""
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        # A connection for each publish, as most callers of a REST API have it.
        self._session = aiohttp.ClientSession(
            headers={**ACCOUNT.headers, **self.headers},
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(WAIT_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def publish(self, stream: str | None = None) -> Attempt:
        """Publish the next number."""
        stream = stream or self.stream
        attempt = Attempt(len(self.attempts), stream, time.monotonic(), 0, 0)
        self.attempts.append(attempt)
        path = f"/v1/Services/default/Streams/{stream}/Messages"
        content: dict[str, object] = {"n": attempt.number, "text": MESSAGE}
        if self.padding:
            content |= {"padding": self.padding}
        data = {"Data": json.dumps(content)}
        try:
            async with self._session.post(self.base_url + path, data=data) as answer:
                attempt.status = answer.status
                if (
                    answer.content_type == "application/json"
                ):  # nginx responds with HTML
                    attempt.code = (await answer.json()).get("code")
        except aiohttp.ClientError:
            attempt.status = 0
        attempt.took = time.monotonic() - attempt.began
        return attempt

    async def load(self, rate: float, until: asyncio.Event) -> None:
        """Publish at a rate, not waiting for answers, until the event is set.

        While many responses are due, it sends nothing: requests that pile up before a
        slow server would exceed the Stream's rate once it is fast again.
        """
        begun: set[asyncio.Task[Attempt]] = set()
        while not until.is_set():
            if len(begun) < MAX_DUE:
                begun.add(asyncio.create_task(self.publish()))
            await asyncio.sleep(1 / rate)  # the rate, not a wait for deliveries
            begun = {task for task in begun if not task.done()}
        await asyncio.gather(*begun)

    @property
    def accepted(self) -> list[int]:
        """The numbers that were answered with 201."""
        return [one.number for one in self.attempts if one.status == 201]

    def refused(self, since: float, until: float) -> list[Attempt]:
        """Return the attempts in a period that were not answered with 201."""
        return [
            one
            for one in self.attempts
            if since <= one.began < until and one.status != 201
        ]


@dataclass(frozen=True)
class Losses:
    """The outcome of the accepted Messages, for all subscribers."""

    lost: int
    due: int
    told: int
    """Losses followed by a gap on the same connection, or by the connection's end; and
    those of clients that had no connection at the time."""

    def __str__(self) -> str:
        return f"{self.lost} of {self.due}"


async def account_for(publisher: Publisher, *subscribers: Subscriber) -> Losses:
    """Wait until each accepted Message has arrived or its loss has been reported.

    Messages to Streams that a subscriber did not ask for do not concern it.
    """
    for one in subscribers:
        try:
            await one.until(lambda one=one: not untold(publisher, one))  # type: ignore[misc]
        except TimeoutError:
            numbers = [attempt.number for attempt in untold(publisher, one)]
            raise AssertionError(f"lost without a word: {numbers}") from None
    lost = sum(len(missed(publisher, one)) for one in subscribers)
    due = sum(len(_due(publisher, one)) for one in subscribers)
    publisher.losses = Losses(lost, due, told=lost)
    return publisher.losses


def missed(publisher: Publisher, one: Subscriber) -> list[Attempt]:
    """Return the accepted Messages that did not arrive."""
    due = _due(publisher, one)
    return [attempt for attempt in due if attempt.number not in one.received]


def untold(publisher: Publisher, one: Subscriber) -> list[Attempt]:
    """Return the Messages that a connected subscriber missed without notice."""
    return [
        attempt
        for attempt in missed(publisher, one)
        for span in one.spans
        if span.is_untold(one.sids[attempt.stream], attempt.began)
    ]


def _due(publisher: Publisher, one: Subscriber) -> list[Attempt]:
    return [
        attempt
        for attempt in publisher.attempts[one.first :]
        if attempt.status == 201 and attempt.stream in one.sids
    ]


async def create_until(base_url: str, status: int) -> Any:
    """Create Streams until one gets this status; return the body."""
    url = f"{base_url}/v1/Services/default/Streams"
    async with (
        asyncio.timeout(WAIT_SECONDS),
        aiohttp.ClientSession(headers=ACCOUNT.headers) as session,
    ):
        while True:
            async with session.post(url) as answer:
                assert answer.status in {201, 503}
                if answer.status == status:
                    return await answer.json()
