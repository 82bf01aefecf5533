"""Wires carry a socket's frames: to the application in this process, or to a server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from channels.testing import WebsocketCommunicator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.asgi import application

WAIT_SECONDS = 30
QUIET_SECONDS = 0.1
"""Silence after which a test assumes that nothing more will arrive."""

ABNORMAL = 1006
"""The code of a connection that ended without a close frame: RFC 6455, 7.1.5."""


class Closed(Exception):
    """The server has closed the socket."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Wire(Protocol):
    """One WebSocket, whatever its protocol."""

    subprotocol: str | None
    """What the server chose, once it is open."""

    async def open(self) -> bool:
        """Open it and tell whether the server accepted."""

    async def send(self, data: str | bytes) -> None:
        """Send a frame without waiting."""

    async def receive(self) -> Any:
        """Return the next frame, ``str`` or ``bytes``; raises :class:`Closed`."""

    async def receive_nothing(self, seconds: float = QUIET_SECONDS) -> bool:
        """Return whether no frame is waiting and none arrives for so long."""

    async def close(self) -> None:
        """Close it, if it is not closed yet."""


class LocalWire:
    """A socket of the application in the test's own process."""

    def __init__(
        self,
        path: str,
        *,
        application: Any = application,
        headers: list[tuple[bytes, bytes]] | None = None,
        subprotocols: list[str] | None = None,
    ) -> None:
        self._socket: Any = WebsocketCommunicator(
            application, path, headers=headers, subprotocols=subprotocols
        )
        self.subprotocol: str | None = None

    async def open(self) -> bool:
        accepted, self.subprotocol = await self._socket.connect(WAIT_SECONDS)
        return bool(accepted)

    async def send(self, data: str | bytes) -> None:
        kind = "text_data" if isinstance(data, str) else "bytes_data"
        await self._socket.send_to(**{kind: data})

    async def receive(self) -> Any:
        event = await self._socket.receive_output(WAIT_SECONDS)
        if event["type"] == "websocket.close":
            raise Closed(event["code"])
        text = event.get("text")
        return event["bytes"] if text is None else text

    async def receive_nothing(self, seconds: float = QUIET_SECONDS) -> bool:
        return bool(await self._socket.receive_nothing(seconds))

    async def close(self) -> None:
        # A wait that timed out has cancelled the consumer, and has said so already.
        if not self._socket.future.cancelled():
            await self._socket.disconnect()


class NetworkWire:
    """A socket to a server; *options* are those of ``websockets``."""

    connection: ClientConnection

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = {"open_timeout": WAIT_SECONDS, **options}
        self.subprotocol: str | None = None

    async def open(self) -> bool:
        try:
            self.connection = await connect(self._url, **self._options)
        except InvalidStatus:
            return False
        self.subprotocol = self.connection.subprotocol
        return True

    async def send(self, data: str | bytes) -> None:
        with self._telling_the_end():
            await self.connection.send(data)

    def send_together(self, *texts: str) -> None:
        """Send text frames in one piece."""
        for text in texts:
            self.connection.protocol.send_text(text.encode())
        data = self.connection.protocol.data_to_send()
        self.connection.transport.write(b"".join(data))

    async def receive(self) -> Any:
        with self._telling_the_end():
            async with asyncio.timeout(WAIT_SECONDS):
                return await self.connection.recv()

    async def receive_nothing(self, seconds: float = QUIET_SECONDS) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.connection.recv()
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        await self.connection.close()

    @contextmanager
    def _telling_the_end(self) -> Iterator[None]:
        try:
            yield
        except ConnectionClosed as end:
            raise Closed(self.connection.close_code or ABNORMAL) from end
