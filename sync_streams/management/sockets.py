"""Clients of the JSON socket for commands: in this process or to a remote server.

See ``docs/wire-websocket.md``.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
from django.core.management.base import CommandError

from sync_streams.conf import get_settings
from sync_streams.operations.data import JSONObject
from sync_streams.websocket.consumers import JsonConsumer
from sync_streams.websocket.protocol import SUBPROTOCOL

from .destination import ANSWER_SECONDS, Destination
from .failures import in_words

CONNECT_SECONDS = 10
"""Time limit for connecting, including the WebSocket handshake."""

HEARTBEAT_SECONDS = 30
"""How often the server has to answer a ping; it has half of that time."""

CLOSE_SECONDS = 1
"""Time that the server has for answering a close frame."""


class Disconnected(Exception):
    """The connection was lost or not established; it can be retried."""


class Socket(Protocol):
    """One connection."""

    async def send(self, frame: JSONObject) -> None:
        """Send a frame."""

    async def receive(self) -> JSONObject:
        """Return the next frame.

        Raises:
            Disconnected: the connection was lost.
        """


class LocalSocket:
    """A connection to this process's own consumer."""

    def __init__(self) -> None:
        self._inbound: asyncio.Queue[JSONObject] = asyncio.Queue()
        self._outbound: asyncio.Queue[JSONObject] = asyncio.Queue()

    async def serve(self) -> None:
        """Serve the connection until :meth:`close`."""
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
        application: Any = JsonConsumer.as_asgi()
        try:
            await application(scope, self._inbound.get, self._outbound.put)
        finally:
            self._outbound.put_nowait({"type": "websocket.close"})

    async def open(self) -> None:
        """Wait until the connection is accepted.

        Raises:
            Disconnected: it was rejected.
        """
        self._inbound.put_nowait({"type": "websocket.connect"})
        event = await self._outbound.get()
        if event["type"] != "websocket.accept":
            raise Disconnected("not accepted")

    def close(self) -> None:
        """Close the connection."""
        self._inbound.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def send(self, frame: JSONObject) -> None:
        event = {"type": "websocket.receive", "text": json.dumps(frame)}
        self._inbound.put_nowait(event)

    async def receive(self) -> JSONObject:
        event = await self._outbound.get()
        if event["type"] == "websocket.close":
            raise Disconnected("the server closed the connection")
        frame: JSONObject = json.loads(event["text"])
        return frame


class RemoteSocket:
    """A connection to a server."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket = socket

    async def send(self, frame: JSONObject) -> None:
        try:
            await self._socket.send_json(frame)
        except (aiohttp.ClientError, OSError) as error:
            raise Disconnected from error

    async def receive(self) -> JSONObject:
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.ERROR:
            raise Disconnected(f"{message.data}.")  # no pong, or not a WebSocket frame
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Disconnected(f"closed with {self._socket.close_code}")
        frame: JSONObject = json.loads(message.data)
        return frame


@asynccontextmanager
async def open_socket(destination: Destination) -> AsyncIterator[Socket]:
    """Open a connection, and close it on exit.

    Raises:
        Disconnected: it cannot be established.
    """
    if destination.url:
        async with _open_remote(destination.socket_url) as remote:
            yield remote
    else:
        async with _open_local() as local:
            yield local


async def ask(socket: Socket, type_: str, **fields: object) -> list[JSONObject]:
    """Send a request; return the frames received up to and including its reply.

    Raises:
        CommandError: the server refuses the request.
        Disconnected: the connection was lost, or there was no reply within 30 seconds.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await socket.send({"type": type_, "id": 1, **fields})
            frames = [await next_frame(socket)]
            while "id" not in frames[-1]:
                frames.append(await next_frame(socket))
    except TimeoutError as error:
        why = f"The server does not answer {type_!r} in time."
        raise Disconnected(why) from error
    return frames


async def next_frame(socket: Socket) -> JSONObject:
    """Return the next frame, answering and skipping pings.

    Raises:
        CommandError: the server refuses a request, or forbids reconnecting.
        Disconnected: the connection was lost or is about to close.
    """
    frame = await socket.receive()
    while frame["type"] == "ping":
        await socket.send({"type": "pong"})
        frame = await socket.receive()
    if frame["type"] == "error":
        raise CommandError(f"{frame['code']}: {frame['message']}")
    if frame["type"] == "closing":
        if frame["reconnect_after"] is None:
            raise CommandError(f"{frame['code']}: {frame['reason']}")
        raise Disconnected(frame["reason"])
    return frame


@asynccontextmanager
async def _open_local() -> AsyncIterator[Socket]:
    socket = LocalSocket()
    serving = asyncio.ensure_future(socket.serve())
    try:
        await socket.open()
        yield socket
    finally:
        socket.close()
        await serving


@asynccontextmanager
async def _open_remote(url: str) -> AsyncIterator[Socket]:
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(CONNECT_SECONDS):
                connected = await session.ws_connect(
                    url,
                    protocols=[SUBPROTOCOL],
                    max_msg_size=2 * get_settings().max_frame_bytes,
                    heartbeat=HEARTBEAT_SECONDS,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                )
            async with connected as socket:
                yield RemoteSocket(socket)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Disconnected(in_words(error, url)) from error
