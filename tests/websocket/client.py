"""A client of the JSON socket, in the test's own process."""

import asyncio
import json
from itertools import count
from typing import Any, Self

from channels.testing import WebsocketCommunicator

from sync_streams.tokens import issue_token
from tests.asgi import application

PATH = "/v1/websocket"
WAIT_SECONDS = 5

Frame = dict[str, Any]


class Socket:
    """One connection; ``async with Socket() as socket`` connects it as *identity*."""

    def __init__(
        self,
        identity: str = "alice",
        *,
        service: str = "default",
        token: str | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        subprotocols: list[str] | None = None,
    ) -> None:
        self.token = issue_token(identity, service) if token is None else token
        self._ids = count(1)
        self._others: list[Frame] = []
        self._wire: Any = WebsocketCommunicator(
            application, PATH, headers=headers, subprotocols=subprotocols
        )
        self.subprotocol: str | None = None
        self.connected: Frame = {}
        """The answer to the access token."""

    async def __aenter__(self) -> Self:
        assert await self.open()
        self.connected = await self.ask("connect", token=self.token)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def open(self) -> bool:
        """Open the socket without saying who it is; tell whether it was accepted."""
        accepted, self.subprotocol = await self._wire.connect(WAIT_SECONDS)
        return bool(accepted)

    async def leave(self) -> None:
        """Close the socket, if it is not closed yet."""
        await self._wire.disconnect()

    async def ask(self, type_: str, **fields: object) -> Frame:
        """Send a request and return its answer; what else comes waits."""
        request_id = next(self._ids)
        await self.send({"type": type_, "id": request_id, **fields})
        while (frame := await self._next()).get("id") != request_id:
            self._others.append(frame)
        return frame

    async def send(self, frame: object) -> None:
        """Send a frame and wait for nothing."""
        await self.send_text(json.dumps(frame))

    async def send_text(self, text: str) -> None:
        """Send whatever text."""
        await self._wire.send_to(text_data=text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self._wire.send_to(bytes_data=data)

    async def receive(self) -> Frame:
        """Return the next frame, whatever it is."""
        return self._others.pop(0) if self._others else await self._next()

    async def receive_nothing(self) -> bool:
        """Tell whether nothing waits and nothing comes."""
        return not self._others and bool(await self._wire.receive_nothing(0.1))

    async def receive_close(self) -> tuple[Frame, int]:
        """Return the last words and the close code; skip what comes before."""
        while (frame := await self.receive())["type"] != "closing":
            continue
        event = await self._wire.receive_output(WAIT_SECONDS)
        assert event["type"] == "websocket.close"
        return frame, int(event["code"])

    async def numbers(self, amount: int) -> list[int]:
        """Return the numbers of that many Messages."""
        found: list[int] = []
        while len(found) < amount:
            frame = await self.receive()
            if frame["type"] == "message":
                found.append(frame["message"]["data"]["n"])
        return found

    async def _next(self) -> Frame:
        async with asyncio.timeout(WAIT_SECONDS):
            return json.loads(await self._wire.receive_from(WAIT_SECONDS))  # type: ignore[no-any-return]
