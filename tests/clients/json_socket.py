"""Clients of the JSON socket (docs/wire-websocket.md)."""

import json
from itertools import count
from typing import Any, Self

from sync_streams.tokens import issue_token
from tests.clients.rest import LocalSite, Site
from tests.clients.wires import Closed, LocalWire, NetworkWire, Wire

PATH = "/v1/websocket"

Frame = dict[str, Any]


class JsonSocket:
    """One connection; ``async with`` opens it and presents the token."""

    answers_pings = True
    """Whether pings are answered and hidden, or frames like any other."""

    def __init__(self, wire: Wire, token: str) -> None:
        self.wire, self.token = wire, token
        self._ids = count(1)
        self._others: list[Frame] = []
        self.connected: Frame = {}
        """The answer to the access token."""

    async def __aenter__(self) -> Self:
        assert await self.open()
        self.connected = await self.ask("connect", token=self.token)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def open(self) -> bool:
        """Open the socket without a token; return whether it was accepted."""
        return await self.wire.open()

    async def leave(self) -> None:
        """Close the socket, if it is not closed yet."""
        await self.wire.close()

    async def ask(self, type_: str, **fields: object) -> Frame:
        """Send a request and return its reply; other frames are kept."""
        request_id = await self.request(type_, **fields)
        while (frame := await self._next()).get("id") != request_id:
            self._others.append(frame)
        return frame

    async def request(self, type_: str, **fields: Any) -> Any:
        """Send a request without waiting, and return its id, normally a number."""
        request_id = fields.pop("id") if "id" in fields else next(self._ids)
        await self.send({"type": type_, "id": request_id, **fields})
        return request_id

    async def send(self, frame: object) -> None:
        """Send a frame without waiting."""
        await self.wire.send(json.dumps(frame))

    async def receive(self) -> Frame:
        """Return the next frame; raises :class:`Closed` after the last one."""
        return self._others.pop(0) if self._others else await self._next()

    async def receive_nothing(self) -> bool:
        """Return whether no frame is waiting and none arrives."""
        return not self._others and await self.wire.receive_nothing()

    async def receive_close(self) -> tuple[Frame, int]:
        """Return the ``closing`` frame and the close code; skip earlier frames."""
        while (frame := await self.receive())["type"] != "closing":
            continue
        return frame, await self.closed()

    async def closed(self) -> int:
        """Return the server's close code; no frame may precede it."""
        try:
            frame = await self.receive()
        except Closed as end:
            return end.code
        raise AssertionError(frame)

    async def numbers(self, amount: int) -> list[int]:
        """Return the numbers of that many Messages."""
        found: list[int] = []
        while len(found) < amount:
            frame = await self.receive()
            if frame["type"] == "message":
                found.append(frame["message"]["data"]["n"])
        return found

    async def _next(self) -> Frame:
        frame: Frame = json.loads(await self.wire.receive())
        if frame["type"] == "ping" and self.answers_pings:
            await self.send({"type": "pong"})
            return await self._next()
        return frame


class LocalSocket(JsonSocket):
    """A connection to the application in the test's own process."""

    answers_pings = False

    def __init__(
        self,
        identity: str = "alice",
        *,
        service: str = "default",
        token: str | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        subprotocols: list[str] | None = None,
    ) -> None:
        wire = LocalWire(PATH, headers=headers, subprotocols=subprotocols)
        super().__init__(
            wire, issue_token(identity, service) if token is None else token
        )


class SiteSocket(JsonSocket):
    """A connection to a running site; *options* are those of ``websockets``."""

    def __init__(
        self,
        site: Site,
        identity: str = "alice",
        service: str = "default",
        *,
        path: str = PATH,
        token: str | None = None,
        **options: Any,
    ) -> None:
        url = site.base_url.replace("http", "ws", 1) + path
        self.network = NetworkWire(url, **options)
        super().__init__(
            self.network,
            site.account.token(identity, service) if token is None else token,
        )

    def send_together(self, *frames: Frame) -> None:
        """Send frames in one piece, so that the server reads them together."""
        self.network.send_together(*map(json.dumps, frames))


def json_socket(port: int, **options: Any) -> SiteSocket:
    """Return a connection to a server of this machine that has the tests' settings."""
    return SiteSocket(LocalSite(port), compression=None, **options)
