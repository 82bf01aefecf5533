"""Transports: the ways to one Stream, each with the same four methods.

A new transport is one class here, a branch of ``open_transport``, and its name in
``TRANSPORTS`` or ``MANAGING_TRANSPORTS``. If its clients cannot create Streams, the
class does so through ``Operations``.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

from asgiref.sync import sync_to_async

from sync_streams import operations
from sync_streams.errors import SyncError
from sync_streams.models import Service
from tests.clients.json_socket import Frame, LocalSocket
from tests.clients.twilsock import Session, connected
from tests.rest.api import Api
from tests.settings import ACCOUNT_SID, AUTH_TOKEN


class Refused(Exception):
    """The server said no."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"{status}/{code}")
        self.status, self.code = status, code


class Transport(Protocol):
    """One way to publish; the managing ones create, change and remove, too."""

    async def create(self, name: str | None = None, ttl: int | None = None) -> str:
        """Create a Stream and return its SID."""

    async def publish(self, ref: str, data: object) -> str:
        """Publish a Message and return its SID."""

    async def update(self, ref: str, ttl: int) -> None:
        """Change a Stream's TTL."""

    async def remove(self, ref: str) -> None:
        """Remove a Stream."""


class Operations:
    """The host project's own code."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, name: str | None = None, ttl: int | None = None) -> str:
        stream = await self._run(
            operations.create_stream, self._service, unique_name=name, ttl=ttl
        )
        return str(stream.sid)

    async def publish(self, ref: str, data: object) -> str:
        message = await self._run(operations.publish, self._service, ref, data)
        return str(message.sid)

    async def update(self, ref: str, ttl: int) -> None:
        await self._run(operations.update_stream, self._service, ref, ttl=ttl)

    async def remove(self, ref: str) -> None:
        await self._run(operations.remove_stream, self._service, ref)

    async def _run(
        self, operation: Callable[..., Any], *args: object, **kwargs: object
    ) -> Any:
        try:
            return await sync_to_async(operation)(*args, **kwargs)
        except SyncError as error:
            raise Refused(error.status, error.code) from error


class Rest:
    """Twilio's REST API."""

    def __init__(self) -> None:
        self._api = Api(ACCOUNT_SID, AUTH_TOKEN)

    async def create(self, name: str | None = None, ttl: int | None = None) -> str:
        fields = {"UniqueName": name, "Ttl": ttl}
        given = {key: value for key, value in fields.items() if value is not None}
        return str((await self._ask("POST", "", **given))["sid"])

    async def publish(self, ref: str, data: object) -> str:
        fields = {} if data is None else {"Data": json.dumps(data)}
        return str((await self._ask("POST", f"{_path(ref)}/Messages", **fields))["sid"])

    async def update(self, ref: str, ttl: int) -> None:
        await self._ask("POST", _path(ref), Ttl=ttl)

    async def remove(self, ref: str) -> None:
        await self._ask("DELETE", _path(ref))

    async def _ask(self, method: str, path: str, **fields: object) -> Any:
        url = f"/v1/Services/default/Streams{path}"
        if method == "POST":
            answer = await sync_to_async(self._api.post)(url, **fields)
        else:
            answer = await sync_to_async(self._api.delete)(url)
        body = json.loads(answer.content or b"{}")
        if answer.status_code >= 400:
            raise Refused(answer.status_code, body["code"])
        return body


class WebSocket:
    """The JSON socket; it cannot change or remove a Stream."""

    def __init__(self, socket: LocalSocket) -> None:
        self._socket = socket

    async def create(self, name: str | None = None, ttl: int | None = None) -> str:
        answer = await self._ask("subscribe", stream=name, mode="open_or_create")
        await self._ask("unsubscribe", stream=name)
        return str(answer["stream"]["sid"])

    async def publish(self, ref: str, data: object) -> str:
        answer = await self._ask("publish", stream=ref, data=data)
        return str(answer["message_sid"])

    async def update(self, ref: str, ttl: int) -> None:
        raise NotImplementedError

    async def remove(self, ref: str) -> None:
        raise NotImplementedError

    async def _ask(self, type_: str, **fields: object) -> Frame:
        answer = await self._socket.ask(type_, **fields)
        if answer["type"] == "error":
            raise Refused(answer["status"], answer["code"])
        return answer


class Twilsock:
    """The transport of Twilio's own browser SDKs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, name: str | None = None, ttl: int | None = None) -> str:
        fields = {"unique_name": name, "ttl": ttl}
        return str((await self._ask("POST", "", fields))["sid"])

    async def publish(self, ref: str, data: object) -> str:
        path = f"{_path(ref)}/Messages"
        return str((await self._ask("POST", path, {"data": data}))["sid"])

    async def update(self, ref: str, ttl: int) -> None:
        await self._ask("POST", _path(ref), {"ttl": ttl})

    async def remove(self, ref: str) -> None:
        await self._ask("DELETE", _path(ref))

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        status, answer = await self._session.request(method, f"/v3/Streams{path}", body)
        if status >= 400:
            raise Refused(status, answer["code"])
        return answer


def _path(ref: str) -> str:
    return f"/{quote(ref, safe='')}"


@asynccontextmanager
async def open_transport(name: str, service: Service) -> AsyncIterator[Transport]:
    """Open the transport of that name."""
    if name == "operations":
        yield Operations(service)
    elif name == "rest":
        yield Rest()
    elif name == "websocket":
        async with LocalSocket("publisher") as socket:
            yield WebSocket(socket)
    else:
        async with connected() as session:
            yield Twilsock(session)


MANAGING_TRANSPORTS = ["operations", "rest", "twilsock"]
TRANSPORTS = [*MANAGING_TRANSPORTS, "websocket"]
