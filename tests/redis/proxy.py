"""A TCP proxy on the loopback interface that delays, counts, and cuts connections."""

import asyncio
from contextlib import suppress
from typing import Self


class Proxy:
    """Stands before a server."""

    def __init__(self, port: int, *, delay: float = 0) -> None:
        self._server_port, self._delay = port, delay
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests = self.replies = 0
        """Bytes that were passed on, of all connections."""
        self.cut_requests_at: int | None = None
        """Bytes of requests after which a connection is cut."""
        self.cut_replies_at: int | None = None
        """Bytes of replies after which a connection is cut."""

    @property
    def url(self) -> str:
        """Where clients find the Redis behind it."""
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers |= {writer, back}
        tasks = [
            asyncio.create_task(self._pass_on(reader, back, "requests")),
            asyncio.create_task(self._pass_on(there, writer, "replies")),
        ]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.close()
            self._writers.discard(end)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kind: str
    ) -> None:
        passed = 0
        with suppress(OSError):
            while data := await source.read(65_536):
                limit = getattr(self, f"cut_{kind}_at")
                if limit is not None:
                    data = data[: limit - passed]
                passed += len(data)
                setattr(self, kind, getattr(self, kind) + len(data))
                self._write(sink, data)
                if limit is not None and passed >= limit:
                    return

    def _write(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, sink.write, data)
        else:
            sink.write(data)
