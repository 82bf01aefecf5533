"""uvicorn in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

SECONDS = 20


class Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def serving(application: Any, **options: Any) -> AsyncIterator[int]:
    """Serve an application without a lifespan; yields the port."""
    config = uvicorn.Config(
        application,
        port=0,
        lifespan="off",
        log_level="critical",
        ws_per_message_deflate=False,
        **options,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.listens.wait(), SECONDS)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await asyncio.wait_for(task, SECONDS)
