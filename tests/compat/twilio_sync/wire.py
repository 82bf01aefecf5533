"""A WebSocket proxy in front of the server: records every frame, cuts connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sync_streams.twilsock import frames

TIMEOUT_SECONDS = 20
Found = TypeVar("Found")


@dataclass(frozen=True)
class Recorded:
    """One frame that went through."""

    sender: Literal["client", "server"]
    connection: int
    """1 for the first connection that was opened."""

    data: bytes | str
    frame: frames.Frame

    @property
    def method(self) -> str:
        return self.frame.method

    @property
    def body(self) -> Any:
        return json.loads(self.frame.payload) if self.frame.payload else None

    @property
    def request(self) -> str:
        """Method and path of a tunnelled request."""
        request = self.frame.header.get("http_request", {})
        return f"{request.get('method')} {request.get('path')}"

    @property
    def http_status(self) -> int:
        return int(self.frame.header["http_status"]["code"])


async def wait_until(
    find: Callable[[], Found], news: asyncio.Event, seen: Callable[[], object]
) -> Found:
    """Wait until *find* returns something; on failure, report the frames seen."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not (found := find()):
                news.clear()
                await news.wait()
    except TimeoutError:
        raise AssertionError(f"waited in vain, saw {seen()}") from None
    return found


class Wire:
    """The traffic between SDKs and one server."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.frames: list[Recorded] = []
        self.opened = 0
        self.closed = 0
        self.is_open = True
        """Whether new connections get through."""
        self.hears_clients = asyncio.Event()
        """While this is not set, clients' frames wait here, including
        acknowledgements."""
        self.hears_clients.set()
        self.uri = ""
        self._pairs: set[tuple[ServerConnection, ClientConnection]] = set()
        self._news = asyncio.Event()

    async def wait_until(self, find: Callable[[], Found]) -> Found:
        """Wait until *find* has something to return."""
        return await wait_until(find, self._news, self.requests)

    def sent(self, method: str) -> list[Recorded]:
        """Return the clients' frames of one method."""
        return self._by("client", method)

    def received(self, method: str) -> list[Recorded]:
        """Return the server's frames of one method."""
        return self._by("server", method)

    def requests(self) -> list[str]:
        """Return every tunnelled request, as ``GET /v3/Streams/x``."""
        return [recorded.request for recorded in self.sent("message")]

    def replies(self, request: str) -> list[Recorded]:
        """Return the replies to the requests that start with the given text."""
        asked = {
            recorded.frame.id
            for recorded in self.sent("message")
            if recorded.request.startswith(request)
        }
        return [reply for reply in self.received("reply") if reply.frame.id in asked]

    def subscriptions(self, action: str) -> list[Recorded]:
        """Return the requests to establish or cancel subscriptions."""
        return [
            recorded
            for recorded in self.sent("message")
            if recorded.request.endswith("/v4/Subscriptions")
            and recorded.body["action"] == action
        ]

    def events(self, event_type: str) -> list[Recorded]:
        """Return the notifications of one type."""
        return [
            recorded
            for recorded in self.received("notification")
            if recorded.body["event_type"] == event_type
        ]

    async def subscribed(self, times: int = 1) -> None:
        """Wait until the server has confirmed so many subscriptions."""

        def confirmed() -> bool:
            established = self.events("subscription_established")
            return sum(map(_count, established)) >= times

        await self.wait_until(confirmed)

    async def replied(self, request: Recorded) -> Recorded:
        """Wait for the reply to a client's frame."""
        found = await self.wait_until(
            lambda: [
                reply
                for reply in self.received("reply")
                if reply.frame.id == request.frame.id
            ]
        )
        return found[0]

    def cut(self) -> None:
        """Break every connection, as a network does."""
        self.hears_clients.set()
        for client, server in tuple(self._pairs):
            client.transport.abort()
            server.transport.abort()

    def audit(self) -> None:
        """Check what holds for every frame that the server sends."""
        for recorded in self.frames:
            assert isinstance(recorded.data, bytes)
        for recorded in (one for one in self.frames if one.sender == "server"):
            _audit(recorded)
        asked = [self._ids(method) for method in ("init", "update", "message")]
        replies = self._replied_ids()
        assert len(set(replies)) == len(replies)
        assert set(replies) <= {id_ for ids in asked for id_ in ids}

    @asynccontextmanager
    async def run(self) -> AsyncIterator["Wire"]:
        """Listen on a free port."""
        async with serve(
            self._relay,
            "127.0.0.1",
            0,
            compression=None,
            max_size=None,
            ping_interval=None,
            process_request=self._admit,
        ) as server:
            self.uri = f"ws://127.0.0.1:{_port(server)}/v3/wsconnect"
            yield self
            self.cut()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.is_open:
            return None
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")

    async def _relay(self, client: ServerConnection) -> None:
        self.opened += 1
        number = self.opened
        with suppress(OSError, ConnectionClosed):
            async with connect(
                self.target, compression=None, max_size=None, ping_interval=None
            ) as server:
                await self._relay_both(client, server, number)
        self.closed += 1
        self._news.set()

    async def _relay_both(
        self, client: ServerConnection, server: ClientConnection, number: int
    ) -> None:
        self._pairs.add((client, server))
        up = asyncio.create_task(self._copy("client", client, server, number))
        down = asyncio.create_task(self._copy("server", server, client, number))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(client.close(), server.close(), return_exceptions=True)
        await asyncio.gather(up, down)
        self._pairs.discard((client, server))

    async def _copy(
        self,
        sender: Literal["client", "server"],
        source: ServerConnection | ClientConnection,
        sink: ServerConnection | ClientConnection,
        number: int,
    ) -> None:
        with suppress(ConnectionClosed):
            async for data in source:
                if sender == "client":
                    await self.hears_clients.wait()
                raw = data if isinstance(data, bytes) else data.encode()
                self.frames.append(Recorded(sender, number, data, frames.decode(raw)))
                self._news.set()
                await sink.send(data)

    def _by(self, sender: str, method: str) -> list[Recorded]:
        return [
            recorded
            for recorded in self.frames
            if (recorded.sender, recorded.method) == (sender, method)
        ]

    def _ids(self, method: str) -> list[str]:
        return [recorded.frame.id for recorded in self.sent(method)]

    def _replied_ids(self) -> list[str]:
        return [recorded.frame.id for recorded in self.received("reply")]


def _audit(recorded: Recorded) -> None:
    header, payload, data = recorded.frame.header, recorded.frame.payload, recorded.data
    head = data.index(b"\r\n{") + 2  # type: ignore[arg-type]  # bytes, as checked
    size = head + int(data[14 : head - 2]) + 2 + len(payload)
    assert len(data) - size == (2 if payload else 0)
    assert header["payload_size"] == len(payload)
    if recorded.method in {"reply", "close"}:
        assert isinstance(header["status"]["code"], int)
    if recorded.method == "notification":
        assert header["message_type"] == "twilio.sync.event"
        assert recorded.body["event_type"]


def _count(established: Recorded) -> int:
    return len(established.body.get("events", [None]))


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
