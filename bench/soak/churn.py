"""Clients that connect, subscribe, publish, receive and disconnect or vanish."""

import asyncio
import itertools
import json
import random
import time
from typing import Any
from uuid import uuid4

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from bench import accounts
from sync_streams.twilsock import frames

SEATS = 16
"""Concurrent clients."""

STREAMS = 40
OWN_SHARE = 0.2
"""Share of the clients that create their own Stream and remove it again."""

POLITE_SHARE = 0.5
"""Share of the clients that close properly; the others just vanish."""

STAY_SECONDS = (0.2, 0.6)
MAX_VISIT_SECONDS = 10
STREAMS_PATH = "/v1/Services/default/Streams"


class Churn:
    """Keeps all seats occupied, half by JSON sockets and half by Twilsock."""

    def __init__(self, base_url: str) -> None:
        self.visits = 0
        self.errors = 0
        """Visits that were cut or rejected, or did not receive their own Message."""
        self._base_url = base_url
        self._sockets_url = base_url.replace("http", "ws", 1)
        self._token = accounts.access_token()
        self._login = aiohttp.BasicAuth(accounts.ACCOUNT_SID, accounts.AUTH_TOKEN)

    async def run(self, seconds: float) -> None:
        """Keep every seat occupied for *seconds*; all are empty when this returns."""
        ends = time.monotonic() + seconds
        async with aiohttp.ClientSession(self._base_url, auth=self._login) as rest:
            await asyncio.gather(*(self._seat(rest, ends) for _ in range(SEATS)))

    async def _seat(self, rest: aiohttp.ClientSession, ends: float) -> None:
        while time.monotonic() < ends:
            visit = random.choice((self._visit_by_json, self._visit_by_twilsock))
            try:
                async with asyncio.timeout(MAX_VISIT_SECONDS):
                    await visit(rest)
            except (OSError, TimeoutError, WebSocketException, aiohttp.ClientError):
                self.errors += 1
            self.visits += 1

    async def _visit_by_json(self, rest: aiohttp.ClientSession) -> None:
        is_own = random.random() < OWN_SHARE
        stream = f"own-{uuid4()}" if is_own else _some_stream()
        async with connect(f"{self._sockets_url}/v1/websocket") as socket:
            await _ask(socket, 1, "connect", token=self._token)
            for number, name in enumerate((_some_stream(), stream), 2):
                fields = {"stream": name, "mode": "open_or_create"}
                await _ask(socket, number, "subscribe", **fields)
            await self._receive_own(rest, socket, stream)
            await _ask(socket, 4, "publish", stream=stream, data=_data(""))
            if is_own:
                await _send(rest, "DELETE", f"{STREAMS_PATH}/{stream}")
            _leave(socket)

    async def _visit_by_twilsock(self, rest: aiohttp.ClientSession) -> None:
        stream = _some_stream()
        await _send(rest, "POST", STREAMS_PATH, UniqueName=stream)
        async with connect(f"{self._sockets_url}/v3/wsconnect") as socket:
            twilsock = _Twilsock(socket)
            await twilsock.ask("init", token=self._token)
            found = await twilsock.request("GET", f"/v3/Streams/{stream}")
            await twilsock.request(
                "POST", "/v4/Subscriptions", _establish(found["sid"])
            )
            await self._receive_own(rest, socket, stream)
            path = f"/v3/Streams/{found['sid']}/Messages"
            await twilsock.request("POST", path, {"data": _data("")})
            _leave(socket)

    async def _receive_own(
        self, rest: aiohttp.ClientSession, socket: ClientConnection, stream: str
    ) -> None:
        """Publish over REST to any worker, receive it, and stay connected briefly."""
        mark = uuid4().hex
        path = f"{STREAMS_PATH}/{stream}/Messages"
        await _send(rest, "POST", path, Data=json.dumps(_data(mark)))
        while mark.encode() not in await socket.recv(decode=False):
            pass
        await asyncio.sleep(random.uniform(*STAY_SECONDS))


async def _send(
    rest: aiohttp.ClientSession, method: str, path: str, **data: str
) -> None:
    async with rest.request(method, path, data=data) as answer:
        if answer.status != 409:  # the Stream exists already
            answer.raise_for_status()


class _Twilsock:
    """The minimal client that the server accepts."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    async def ask(
        self, method: str, payload: bytes = b"", **fields: Any
    ) -> frames.Frame:
        frame_id = f"TM{next(self._ids)}"
        header = {"id": frame_id, "method": method, **fields}
        await self._socket.send(frames.encode(header, payload))
        while True:
            frame = frames.decode(await self._socket.recv(decode=False))
            if frame.id == frame_id:
                return frame

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        payload = b"" if body is None else frames.to_json(body)
        fields = {"host": "soak", "method": method, "path": path}
        frame = await self.ask("message", payload, http_request=fields)
        status: Any = frame.header.get("http_status") or frame.header["status"]
        if status["code"] >= 400:
            raise ConnectionError(f"{method} {path}: {status}")
        return json.loads(frame.payload)


async def _ask(
    socket: ClientConnection, number: int, type_: str, **fields: object
) -> None:
    await socket.send(json.dumps({"type": type_, "id": number, **fields}))
    while True:
        frame = json.loads(await socket.recv())
        if frame.get("id") == number:
            if frame["type"] == "error":
                raise ConnectionError(frame["message"])
            return


def _leave(socket: ClientConnection) -> None:
    if random.random() > POLITE_SHARE:
        socket.transport.abort()


def _some_stream() -> str:
    return f"soak-{random.randrange(STREAMS)}"


def _data(mark: str) -> dict[str, str]:
    return {"mark": mark, "text": "x" * random.randrange(500)}


def _establish(stream_sid: str) -> dict[str, Any]:
    wanted = {"object_sid": stream_sid, "object_type": "stream"}
    action = {"action": "establish", "event_protocol_version": 4, "correlation_id": 1}
    return {**action, "requests": [wanted]}
