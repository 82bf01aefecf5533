"""A TCP proxy on the loopback interface: slow, silent, counting, or cutting."""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Self

KERNEL_BYTES = 16_384
"""Buffer of the kernel for a slow connection, which would stall with less."""

PIECE_BYTES = 512
"""Bytes that a slow connection passes on at a time."""


class Proxy:
    """Stands before a server."""

    def __init__(
        self,
        port: int,
        *,
        delay: float = 0,
        delayed_from: bytes = b"",
        bytes_per_second: int | None = None,
    ) -> None:
        """Prepare a proxy.

        Args:
            port: of the server.
            delay: seconds by which data arrives later, in both directions.
            delayed_from: text of a connection's request from which on it is delayed.
            bytes_per_second: see the attribute.
        """
        self._server_port, self._delay = port, delay
        self._delayed_from = delayed_from
        self.bytes_per_second = bytes_per_second
        """Bytes a second that each client receives; ``None``: no limit."""
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Condition()
        self.is_silent = False
        """Whether data is lost silently while both sides stay open."""
        self.opened = 0
        """Connections so far."""
        self.closed: list[float] = []
        """When the server ended each connection, on the monotonic clock."""
        self.requests = self.replies = 0
        """Bytes passed on, over all connections."""
        self.cut_requests_at: int | None = None
        """Bytes of requests after which a connection is cut."""
        self.cut_replies_at: int | None = None
        """Bytes of replies after which a connection is cut."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def base_url(self) -> str:
        """Where clients find the site behind it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where clients find the Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

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
        self._writers.add(writer)
        there, back = await self._connect()
        self._writers.add(back)
        if not self._server.is_serving():  # it was closed meanwhile
            back.close()
            return
        asking = asyncio.create_task(self._pass_on(reader, back, "requests"))
        answering = asyncio.create_task(self._pass_on(there, writer, "replies"))
        answering.add_done_callback(self._note_closed)
        tasks = {asking, answering}
        self._tasks |= tasks
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not self.is_silent:
            for end in (writer, back):
                end.close()
                self._writers.discard(end)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.bytes_per_second is None:
            return await asyncio.open_connection("127.0.0.1", self._server_port)
        # The kernel's buffers would hide from the server that a client is slow.
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        ours.setblocking(False)
        address = "127.0.0.1", self._server_port
        await asyncio.get_running_loop().sock_connect(ours, address)
        return await asyncio.open_connection(sock=ours, limit=PIECE_BYTES)

    def _note_closed(self, _: asyncio.Task[None]) -> None:
        self.closed.append(time.monotonic())
        self._tasks.add(asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kind: str
    ) -> None:
        passed, is_slow = 0, self.bytes_per_second is not None and kind == "replies"
        is_delayed = self._delay > 0 and not self._delayed_from
        with suppress(OSError):
            while data := await source.read(PIECE_BYTES if is_slow else 65_536):
                limit = getattr(self, f"cut_{kind}_at")
                if limit is not None:
                    data = data[: limit - passed]
                passed += len(data)
                setattr(self, kind, getattr(self, kind) + len(data))
                # Keep reading even if silent, so that the kernels report no error.
                if self._delayed_from and kind == "requests":
                    is_delayed |= self._delayed_from in data
                if not self.is_silent:
                    self._write(sink, data, is_delayed=is_delayed)
                if limit is not None and passed >= limit:
                    return
                if is_slow and self.bytes_per_second is not None:
                    await asyncio.sleep(
                        len(data) / self.bytes_per_second
                    )  # the rate itself

    def _write(
        self, sink: asyncio.StreamWriter, data: bytes, *, is_delayed: bool
    ) -> None:
        if is_delayed:
            asyncio.get_running_loop().call_later(self._delay, sink.write, data)
        else:
            sink.write(data)
