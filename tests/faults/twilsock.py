"""A client that speaks Twilsock like the SDKs, but does not reconnect."""

import asyncio
import json
from contextlib import suppress
from itertools import count
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from sync_streams.twilsock import frames
from tests.clients.twilsock import acknowledgement, subscription, tunnelled
from tests.faults.rig import WAIT_SECONDS
from tests.faults.worker import ACCOUNT

_numbers = count(1)


class Session:
    """One authenticated connection that acknowledges whatever requires it."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url.replace("http", "ws", 1) + "/v3/wsconnect"
        self._connection: ClientConnection
        self._replies: dict[str, asyncio.Future[frames.Frame]] = {}
        self.told: list[frames.Frame] = []
        """The server's unsolicited frames, except pings."""

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url, compression=None)
        self._task = asyncio.create_task(self._read())
        reply = await self.ask("init", token=ACCOUNT.token("alice"), capabilities=[])
        assert reply.header["status"]["code"] == 200, reply.header
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
        await self._task

    async def ask(
        self, method: str, payload: bytes = b"", **fields: Any
    ) -> frames.Frame:
        """Send a frame and return its reply."""
        frame_id = f"TM{next(_numbers)}"
        header = {"id": frame_id, "method": method, **fields}
        reply = asyncio.get_running_loop().create_future()
        self._replies[frame_id] = reply
        await self._connection.send(frames.encode(header, payload))
        return await asyncio.wait_for(reply, WAIT_SECONDS)

    async def request(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Tunnel a request and return the status and body of its reply."""
        asked = tunnelled(method, path)
        reply = await self.ask("message", json.dumps(body).encode(), http_request=asked)
        return reply.header["http_status"]["code"], json.loads(reply.payload)

    async def subscribe(self, sid: str) -> None:
        """Subscribe to a Stream."""
        body = subscription("establish", sid)
        assert (await self.request("POST", "/v4/Subscriptions", body))[0] == 200

    async def until_closed(self) -> int | None:
        """Wait for the end and return its close code, if one was given."""
        await asyncio.wait_for(asyncio.shield(self._task), WAIT_SECONDS)
        return self._connection.close_code

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for data in self._connection:
                assert isinstance(data, bytes)
                await self._take(frames.decode(data))

    async def _take(self, frame: frames.Frame) -> None:
        if frame.method == "reply":
            self._replies.pop(frame.id).set_result(frame)
            return
        await self._connection.send(acknowledgement(frame.id))
        if frame.method != "ping":
            self.told.append(frame)
