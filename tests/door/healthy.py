"""A client that publishes and receives 20 Messages a second, whatever others do."""

import asyncio
import json
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from tests.secrecy import MESSAGE

STREAMS = 4
"""Enough Streams to stay within each rate when Messages pile up during a pause."""

INTERVAL_SECONDS = 0.05
WAIT_SECONDS = 20
RETRY_SECONDS = 0.5
WARM_REQUESTS = 20
BUSY = 20429


@dataclass
class Figures:
    """The client's observations while something else runs."""

    accepted: dict[int, float] = field(default_factory=dict)
    """When each Message was sent that the server accepted."""

    received: dict[int, float] = field(default_factory=dict)
    refused: list[Any] = field(default_factory=list)
    """The server's replies to the others."""

    growth_bytes: int = 0
    """How far the server's memory grew at most."""

    more_threads: int = 0
    other: Any = None
    """The result of what ran meanwhile."""

    @property
    def lost(self) -> set[int]:
        """Messages that were accepted but not received."""
        return self.accepted.keys() - self.received.keys()

    def percentile_ms(self, share: float) -> int:
        """Return the time within which that share of the Messages arrived."""
        took = sorted(self.received[n] - self.accepted[n] for n in self.accepted)
        return round(1000 * took[min(len(took) - 1, int(share * len(took)))])


class Healthy:
    """The client; half of its Messages go over REST, half over its socket."""

    def __init__(self, origin: str, *, login: tuple[str, str], token: str) -> None:
        self._origin, self._login, self._token = origin, login, token
        self.figures = Figures()

    async def live_through(self, other: Awaitable[Any], pid: int) -> Figures:
        """Publish and receive while something else runs; then wait for the last."""
        headers = {"Authorization": aiohttp.encode_basic_auth(*self._login)}
        async with (
            aiohttp.ClientSession(headers=headers) as self._http,
            AsyncExitStack() as stack,
        ):
            async with asyncio.timeout(WAIT_SECONDS):
                while not await self._connect(stack):  # noqa: ASYNC110
                    await asyncio.sleep(RETRY_SECONDS)
            await self._begin()
            listening = asyncio.ensure_future(self._listen(self._socket))
            measuring = asyncio.ensure_future(self._measure(pid))
            self.figures.other = await self._publish_during(other)
            async with asyncio.timeout(WAIT_SECONDS):
                while self.figures.lost:  # noqa: ASYNC110 - it is a deadline, no wait
                    await asyncio.sleep(INTERVAL_SECONDS)
            for task in (listening, measuring):
                task.cancel()
        return self.figures

    async def _connect(self, stack: AsyncExitStack) -> bool:
        """Connect; retry if the server is still busy from before."""
        url = f"{self._origin.replace('http', 'ws', 1)}/v1/websocket"
        socket = connect(url, compression=None, open_timeout=WAIT_SECONDS)
        self._socket = await stack.enter_async_context(socket)
        await self._socket.send(_text(type="connect", id="c", token=self._token))
        answer = json.loads(await self._socket.recv())
        assert answer["type"] == "connected" or answer["code"] == BUSY, answer
        return bool(answer["type"] == "connected")

    async def _begin(self) -> None:
        for number in range(STREAMS):
            name = f"healthy-{number}"
            request = {"type": "subscribe", "stream": name, "mode": "open_or_create"}
            await self._socket.send(_text(id=name, **request))
            answer = json.loads(await self._socket.recv())
            assert answer["type"] == "subscribed", answer
        for _ in range(WARM_REQUESTS):
            async with self._http.get(f"{self._origin}/v1/Services") as answer:
                await answer.read()

    async def _publish_during(self, other: Awaitable[Any]) -> Any:
        waiting = asyncio.ensure_future(other)
        publishing: set[asyncio.Task[None]] = set()
        number = 0
        while not waiting.done():
            publishing.add(asyncio.create_task(self._publish(number)))
            number += 1
            await asyncio.sleep(INTERVAL_SECONDS)
        await asyncio.wait(publishing, timeout=WAIT_SECONDS)
        return waiting.result()

    async def _publish(self, number: int) -> None:
        name, data = f"healthy-{number % STREAMS}", {"n": number, "text": MESSAGE}
        began = time.monotonic()
        if number // STREAMS % 2:
            self.figures.accepted[number] = began
            frame = _text(type="publish", id=number, stream=name, data=data)
            await self._socket.send(frame)
            return
        url = f"{self._origin}/v1/Services/default/Streams/{name}/Messages"
        try:
            async with self._http.post(url, data={"Data": json.dumps(data)}) as answer:
                if answer.status == 201:
                    self.figures.accepted[number] = began
                else:
                    self.figures.refused.append(await answer.text())
        except aiohttp.ClientError as error:
            self.figures.refused.append(repr(error))

    async def _listen(self, socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "message":
                self.figures.received[frame["message"]["data"]["n"]] = time.monotonic()
            elif frame["type"] == "ping":
                await socket.send(_text(type="pong"))
            elif frame["type"] == "error":
                self.figures.accepted.pop(frame["id"], None)
                self.figures.refused.append(frame)

    async def _measure(self, pid: int) -> None:
        before = usage(pid)
        while True:
            memory, threads = usage(pid)
            self.figures.growth_bytes = max(
                self.figures.growth_bytes, memory - before[0]
            )
            self.figures.more_threads = max(
                self.figures.more_threads, threads - before[1]
            )
            await asyncio.sleep(0.1)


def usage(pid: int) -> tuple[int, int]:
    """Return a process's memory in bytes and its threads."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return int(found["VmRSS"].split()[0]) * 1024, int(found["Threads"])


def _text(**fields: object) -> str:
    return json.dumps(fields)
