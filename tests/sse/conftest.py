"""A server of event streams, with and without the path around ASGI."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler

from sync_streams import operations
from sync_streams.models import Service, Stream
from sync_streams.publishing import apublish
from sync_streams.tokens import issue_token
from tests.clients.accounts import ACCOUNT
from tests.clients.sse import EventSource
from tests.settings import ACCOUNT_SID
from tests.uvicorn_server import serving

CLASSES = {
    "past-asgi": "sync_streams.uvicorn:BoundedHttpProtocol",
    "asgi": "httptools",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server is, and the Streams that it has."""

    origin: str
    service: Service
    streams: dict[str, Stream]

    def open(self, path: str, **headers: str) -> EventSource:
        """Open a stream of events."""
        return EventSource(f"{self.origin}{path}", **headers)

    def rest(self, ref: str, query: str = "", **headers: str) -> EventSource:
        """Open one with the account's credentials."""
        path = f"/v1/Services/default/Streams/{ref}/Events{query}"
        return self.open(path, **{**ACCOUNT.headers, **headers})

    def as_identity(self, ref: str, **options: Any) -> EventSource:
        """Open one with an access token."""
        token = issue_token("alice", options.pop("service", "default"), **options)
        path = f"/v1/Services/default/Streams/{ref}/Events"
        return self.open(path, Authorization=f"Bearer {token}")


@sync_to_async
def _provide() -> tuple[Service, dict[str, Stream]]:
    service = operations.get_service(ACCOUNT_SID, "default")
    names = ("board", "news")
    return service, {
        name: operations.create_stream(service, unique_name=name) for name in names
    }


@pytest.fixture(params=CLASSES)
async def site(
    request: pytest.FixtureRequest, transactional_db: None, settings: Any
) -> AsyncIterator[Site]:
    """A server in the test's own loop."""
    settings.ROOT_URLCONF = "tests.sse.urls"
    service, streams = await _provide()
    async with serving(ASGIHandler(), http=CLASSES[request.param]) as port:
        yield Site(f"http://127.0.0.1:{port}", service, streams)


async def lines_of_curl(*arguments: str) -> list[bytes]:
    """Publish to ``board`` while curl reads; return the lines of the event."""
    program = await asyncio.create_subprocess_exec(
        *("curl", "-sN", *arguments), stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    assert (await program.stdout.readline()).startswith(b"retry: ")
    await apublish("board", {"n": 1})
    lines = [await program.stdout.readline() for _ in range(4)]
    program.kill()
    await program.wait()
    return lines
