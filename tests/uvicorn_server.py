"""uvicorn in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

SECONDS = 30


class Server(uvicorn.Server):
    """uvicorn that reports when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def serving(
    application: Any, *, send_buffer: Any = 0, **options: Any
) -> AsyncIterator[int]:
    """Serve an application without a lifespan; yields the port.

    Args:
        application: the ASGI application.
        send_buffer: bytes that the kernel may hold for each connection; 0: as usual.
        options: of uvicorn.
    """
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
    listening = server.servers[0].sockets[0]
    if send_buffer:  # what it accepts inherits this
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, SECONDS)
