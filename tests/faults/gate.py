"""A TCP proxy that can go silent: both sides stay open, nothing passes any more."""

import asyncio
import time
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Gate:
    """Stands before a server; what comes while it is silent is lost without a word."""

    def __init__(self, base_url: str) -> None:
        self._server_port = urlsplit(base_url).port
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_silent = False
        self.opened = 0
        self.closed: list[float] = []
        """When the server ended each connection, on the monotonic clock."""
        self._news = asyncio.Condition()

    @property
    def base_url(self) -> str:
        """Where clients find the server behind it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        """Refuse new connections and break the existing ones."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def until_all_closed(self, within: float) -> None:
        """Wait until the server has ended every connection."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: len(self.closed) == self.opened)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.opened += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers |= {writer, back}
        self._tasks.add(asyncio.create_task(self._pass_on(reader, back)))
        await self._pass_on(there, writer)
        self.closed.append(time.monotonic())
        async with self._news:
            self._news.notify_all()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        # Read on even so: the kernels must have no complaint.
        with suppress(OSError):
            while data := await source.read(65_536):
                if not self.is_silent:
                    sink.write(data)
