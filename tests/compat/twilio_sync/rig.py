"""Everything a conformance test needs: SDKs, the wire they use, the REST API."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from tests.clients.rest import SERVICES, request
from tests.clients.twilsock import PATH, Session, opened
from tests.clients.wires import NetworkWire
from tests.compat.twilio_sync.sdk import Sdk, SdkClient, SdkStream
from tests.compat.twilio_sync.wire import Wire
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
        account = self.site.account
        if "secret" in changes:
            account = replace(account, key_secret=changes.pop("secret"))
        return account.sign(identity, ttl=ttl, **changes)

    async def client(
        self, identity: str = "alice", *, token: str | None = None, **options: Any
    ) -> SdkClient:
        """Create a client, which connects on its own."""
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
        url = f"{SERVICES}/default/Streams{path}"
        answer = await asyncio.to_thread(
            request, self.site, method, url, None, **fields
        )
        return answer.status_code, answer.json() if answer.text else None

    async def publish(self, stream_ref: str, data: Any) -> str:
        """Publish over REST and return the Message's SID."""
        status, message = await self.rest(
            "POST", f"/{stream_ref}/Messages", Data=json.dumps(data)
        )
        assert status == 201, message
        return str(message["sid"])

    def peer(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """Open a bare Twilsock connection past the wire."""
        return opened(NetworkWire(f"{self.site.websocket_url}{PATH}", **options))
