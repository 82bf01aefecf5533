"""The roads to Streams: each takes the same requests, in its own words.

To add a road, write a class with these three methods and name it in ``ROADS``.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

from channels.testing import WebsocketCommunicator
from django.test import AsyncClient

from sync_streams import operations
from sync_streams.consumers import run
from sync_streams.errors import SyncError
from sync_streams.tokens import issue_token
from tests import settings as site
from tests.asgi import application
from tests.twilsock.session import Session, connected


class Refused(Exception):
    """The road answered with an error."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


class Road(Protocol):
    """What every road can do; all raise :class:`Refused`."""

    async def create(self, name: str | None, ttl: int | None = None) -> str:
        """Create a Stream and return its SID."""

    async def publish(self, ref: str, data: Any) -> str:
        """Publish and return the Message's SID."""

    async def remove(self, ref: str) -> None:
        """Remove a Stream."""


class Operations:
    """Python calls."""

    async def create(self, name: str | None, ttl: int | None = None) -> str:
        service = await self._call(operations.get_service, site.ACCOUNT_SID, "default")
        stream = await self._call(
            operations.create_stream, service, unique_name=name, ttl=ttl
        )
        return str(stream.sid)

    async def publish(self, ref: str, data: Any) -> str:
        service = await self._call(operations.get_service, site.ACCOUNT_SID, "default")
        message = await self._call(operations.publish, service, ref, data)
        return str(message.sid)

    async def remove(self, ref: str) -> None:
        service = await self._call(operations.get_service, site.ACCOUNT_SID, "default")
        await self._call(operations.remove_stream, service, ref)

    async def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await run(operation, *args, **kwargs)
        except SyncError as error:
            raise Refused(error.status, error.code) from error


class Rest:
    """HTTP as Twilio's libraries send it."""

    def __init__(self) -> None:
        credentials = f"{site.ACCOUNT_SID}:{site.AUTH_TOKEN}".encode()
        self._client = AsyncClient()
        self._headers = {"Authorization": f"Basic {b64encode(credentials).decode()}"}

    async def create(self, name: str | None, ttl: int | None = None) -> str:
        fields = {"UniqueName": name, "Ttl": ttl}
        given = {key: value for key, value in fields.items() if value is not None}
        return str((await self._ask("post", "", given))["sid"])

    async def publish(self, ref: str, data: Any) -> str:
        text = data if isinstance(data, str) else json.dumps(data)
        given = {} if data is None else {"Data": text}
        return str((await self._ask("post", f"/{_escape(ref)}/Messages", given))["sid"])

    async def remove(self, ref: str) -> None:
        await self._ask("delete", f"/{_escape(ref)}", {})

    async def _ask(self, verb: str, path: str, fields: dict[str, Any]) -> Any:
        url = f"/v1/Services/default/Streams{path}"
        body = "&".join(f"{key}={_escape(str(value))}" for key, value in fields.items())
        answer = await getattr(self._client, verb)(
            url,
            body,
            content_type="application/x-www-form-urlencoded",
            headers=self._headers,
        )
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.json()["code"])
        return answer.json() if answer.content else None


class JsonSocket:
    """The JSON socket, which creates by subscribing; ttl and removal are REST's."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._rest = socket, Rest()

    async def create(self, name: str | None, ttl: int | None = None) -> str:
        if name is None or ttl is not None:
            return await self._rest.create(name, ttl)
        answer = await self.ask("subscribe", stream=name, mode="open_or_create")
        await self.ask("unsubscribe", stream=answer["stream"]["sid"])
        return str(answer["stream"]["sid"])

    async def publish(self, ref: str, data: Any) -> str:
        return str((await self.ask("publish", stream=ref, data=data))["message_sid"])

    async def remove(self, ref: str) -> None:
        await self._rest.remove(ref)

    async def ask(self, type_: str, **fields: Any) -> Any:
        frame = {"type": type_, "id": 1, **fields}
        await self._socket.send_to(text_data=json.dumps(frame))
        while "id" not in (answer := json.loads(await self._socket.receive_from(5))):
            continue
        if answer["type"] == "error":
            raise Refused(answer["status"], answer["code"])
        return answer


class Twilsock:
    """The socket of Twilio's browser SDK."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, name: str | None, ttl: int | None = None) -> str:
        fields = {"unique_name": name, "ttl": ttl}
        given = {key: value for key, value in fields.items() if value is not None}
        return str((await self._ask("POST", "/v3/Streams", given))["sid"])

    async def publish(self, ref: str, data: Any) -> str:
        path = f"/v3/Streams/{_escape(ref)}/Messages"
        return str((await self._ask("POST", path, {"data": data}))["sid"])

    async def remove(self, ref: str) -> None:
        await self._ask("DELETE", f"/v3/Streams/{_escape(ref)}")

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self._session.request(method, path, body)
        if status >= 400:
            raise Refused(status, answer["code"])
        return answer


@asynccontextmanager
async def open_road(name: str) -> AsyncIterator[Road]:
    """Open a road; connections end with the block."""
    async with AsyncExitStack() as stack:
        if name == "twilsock":
            yield Twilsock(await stack.enter_async_context(connected()))
        elif name == "websocket":
            socket: Any = WebsocketCommunicator(application, "/v1/websocket")
            await socket.connect()
            stack.push_async_callback(socket.disconnect)
            road = JsonSocket(socket)
            await road.ask("connect", token=issue_token("alice", "default"))
            yield road
        else:
            yield Operations() if name == "operations" else Rest()


ROADS = ("operations", "rest", "websocket", "twilsock")


def _escape(text: str) -> str:
    return quote(text, safe="")
