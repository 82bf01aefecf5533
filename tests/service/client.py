"""A REST caller and a JSON socket for tests against a demo site."""

import json
from typing import Any, Self

import requests
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant
from websockets.asyncio.client import ClientConnection, connect

from tests.programs import DemoSite

WAIT_SECONDS = 10


def rest(site: DemoSite, path: str, **fields: object) -> Any:
    """POST to ``/v1/Services…`` and return the answer."""
    answer = requests.post(
        f"{site.base_url}/v1/Services{path}",
        auth=(site.account_sid, site.auth_token),
        data=fields,
        timeout=WAIT_SECONDS,
    )
    answer.raise_for_status()
    return answer.json()


def token_for(
    site: DemoSite,
    identity: str = "alice",
    service: str = "default",
    *,
    ttl: int = 3600,
) -> str:
    """Return an access token as Twilio's library makes it; *ttl* is in seconds."""
    account = site.account_sid, site.api_key_sid, site.api_key_secret
    token = AccessToken(*account, identity=identity, ttl=ttl)
    token.add_grant(SyncGrant(service_sid=service))
    return str(token.to_jwt())


class Socket:
    """A connected JSON socket; ``async with Socket(site) as socket``."""

    def __init__(
        self, site: DemoSite, identity: str = "alice", service: str = "default"
    ) -> None:
        self._url = f"{site.websocket_url}/v1/websocket"
        self._token = token_for(site, identity, service)
        self._connection: ClientConnection

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url)
        await self.ask("connect", token=self._token)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def ask(self, type_: str, **fields: object) -> dict[str, Any]:
        """Send a request and return the next frame."""
        await self.send(type_, **fields)
        return await self.receive()

    async def send(self, type_: str, **fields: object) -> None:
        """Send a request and wait for nothing."""
        await self._connection.send(json.dumps({"type": type_, "id": 1, **fields}))

    async def receive(self) -> dict[str, Any]:
        """Return the next frame, but for pings, which are answered."""
        while True:
            frame: dict[str, Any] = json.loads(await self._connection.recv())
            if frame["type"] != "ping":
                return frame
            await self._connection.send('{"type":"pong"}')
