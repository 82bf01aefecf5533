"""Everything one conformance test needs: SDKs, the wire they use, the REST API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import jwt
import pytest
import requests
from websockets.asyncio.client import ClientConnection, connect

from sync_streams.twilsock import frames
from tests.compat.twilio_sync.sdk import Sdk, SdkClient, SdkStream
from tests.compat.twilio_sync.wire import TIMEOUT_SECONDS, Wire
from tests.programs import DemoSite

VERSIONS = "twilio-sync", "twilio-sync-3", "twilio-sync-3.0"
"""Names under which npm installs the versions of the SDK, newest first."""

every_version = pytest.mark.parametrize("package", VERSIONS)

_names = count()


def all_versions_at_once(
    test: Callable[["Rig"], Coroutine[Any, Any, None]],
) -> Callable[[list["Rig"]], Coroutine[Any, Any, None]]:
    """Run a test that mostly waits with every version of the SDK at the same time."""

    async def run(rigs: list[Rig]) -> None:
        async with asyncio.TaskGroup() as group:
            for rig in rigs:
                group.create_task(test(rig))

    run.__doc__ = test.__doc__
    return run


def new_name() -> str:
    """Return a unique name that no test has used."""
    return f"stream-{time.time_ns()}-{next(_names)}"


class Rig:
    """SDK clients that reach one server through a wire."""

    def __init__(self, site: DemoSite, wire: Wire, sdk: Sdk) -> None:
        self.site, self.wire, self.sdk = site, wire, sdk

    def token(
        self, identity: str | None = "alice", *, ttl: int = 3600, **changes: Any
    ) -> str:
        """Make an access token; *changes* replace claims, or the ``secret``."""
        now = int(time.time())
        grants = {"identity": identity, "data_sync": {"service_sid": "default"}}
        secret = changes.pop("secret", self.site.api_key_secret)
        claims = {
            "jti": f"{self.site.api_key_sid}-{time.time_ns()}",
            "iss": self.site.api_key_sid,
            "sub": self.site.account_sid,
            "iat": now,
            "exp": now + ttl,
            "grants": grants,
            **changes,
        }
        headers = {"cty": "twilio-fpa;v=1"}
        return jwt.encode(claims, secret, algorithm="HS256", headers=headers)

    async def client(
        self, identity: str = "alice", *, token: str | None = None, **options: Any
    ) -> SdkClient:
        """Create a client; it connects by itself."""
        token = self.token(identity) if token is None else token
        return await self.sdk.client(token, self.wire.uri, **options)

    async def pair(self) -> tuple[SdkStream, SdkStream]:
        """Return one Stream as two subscribed clients see it, alice's and bob's."""
        name, alice, bob = new_name(), await self.client(), await self.client("bob")
        streams = await alice.stream(name), await bob.stream(name)
        await self.wire.subscribed(2)
        return streams

    async def rest(self, method: str, path: str, **fields: str) -> tuple[int, Any]:
        """Call the REST API and return status and body."""
        url = f"{self.site.base_url}/v1/Services/default/Streams{path}"
        auth = self.site.account_sid, self.site.auth_token
        response = await asyncio.to_thread(
            requests.request, method, url, data=fields, auth=auth, timeout=20
        )
        return response.status_code, response.json() if response.text else None

    async def publish(self, stream_ref: str, data: Any) -> str:
        """Publish over REST and return the Message's SID."""
        status, message = await self.rest(
            "POST", f"/{stream_ref}/Messages", Data=json.dumps(data)
        )
        assert status == 201, message
        return str(message["sid"])

    @asynccontextmanager
    async def peer(self, **options: Any) -> AsyncIterator["Peer"]:
        """Open a bare Twilsock connection past the wire."""
        uri = f"{self.site.websocket_url}/v3/wsconnect"
        async with connect(uri, **options) as socket:
            yield Peer(socket)


class Peer:
    """A client that speaks Twilsock by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = count()

    async def send(self, method: str, payload: bytes = b"", **fields: Any) -> str:
        """Send a frame and return its id."""
        frame_id = f"TM{next(self._ids)}"
        header = {"id": frame_id, "method": method, **fields}
        await self.socket.send(frames.encode(header, payload))
        return frame_id

    async def receive(self) -> frames.Frame:
        """Wait for the next frame of the server."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            data = await self.socket.recv()
        assert isinstance(data, bytes)
        return frames.decode(data)

    async def ask(
        self, method: str, payload: bytes = b"", **fields: Any
    ) -> frames.Frame:
        """Send a frame and wait for its reply; acknowledge what comes before it."""
        frame_id = await self.send(method, payload, **fields)
        while (frame := await self.receive()).id != frame_id:
            header = {"id": frame.id, "method": "reply", "status": {"code": 200}}
            await self.socket.send(frames.encode(header))
        assert frame.method == "reply"
        return frame

    async def request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        """Tunnel a request and return status and body of the reply."""
        reply = await self.ask(
            "message",
            b"" if body is None else json.dumps(body).encode(),
            active_grant="data_sync",
            http_request={"host": "x.example", "method": method, "path": path},
        )
        assert reply.header["status"]["code"] == 200
        answer = json.loads(reply.payload) if reply.payload else None
        return reply.header["http_status"]["code"], answer

    async def closed(self) -> int | None:
        """Wait until the server has ended the connection, and return its code."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.socket.wait_closed()
        return self.socket.close_code
