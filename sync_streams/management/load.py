"""Load: Messages at a steady rate to many subscribers, with the latency of each.

Publishers and subscribers share this process's clock, so a latency covers the whole
path from the publish request to the frame at a subscriber.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from .destination import Destination
from .sockets import Socket, ask, next_frame, open_socket

LAST_SECONDS = 5
"""Time allowed for deliveries after the last Message was published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The load to apply."""

    streams: list[str]
    """SIDs of the Streams."""

    subscribers: int
    """Connections, spread over the Streams."""

    rate: float
    """Messages a second to each Stream."""

    seconds: float
    """Duration."""


@dataclass(slots=True)
class Result:
    """What was measured."""

    published: int = 0
    expected: int = 0
    """Deliveries that the published Messages should cause."""

    latencies: list[float] = field(default_factory=list)
    """Latency of each delivery, in seconds."""

    def percentile(self, percent: float) -> float:
        """Return the seconds within which *percent* of the Messages were delivered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def run(
    load: Load,
    destination: Destination,
    progress: Callable[[float], None],
    result: Result,
) -> None:
    """Apply the load to the destination.

    Args:
        load: the load to apply.
        destination: where the Streams are.
        progress: called with the share that is done, 0 to 1.
        result: filled in as the load runs, so it is valid after a cancellation.

    Raises:
        CommandError: the server refuses a request.
        Disconnected: a connection was lost.
    """
    arrived = asyncio.Event()
    async with AsyncExitStack() as stack:
        sockets = [
            await _connected(stack, destination, number)
            for number in range(load.subscribers + len(load.streams))
        ]
        publishers = sockets[load.subscribers :]
        subscribers = sockets[: load.subscribers]
        for number, socket in enumerate(subscribers):
            await ask(
                socket, "subscribe", stream=load.streams[number % len(publishers)]
            )
        listening = [
            asyncio.create_task(_receive(each, result, arrived)) for each in subscribers
        ]
        try:
            await _publish(load, publishers, result, progress)
        finally:
            await _finish(result, arrived)
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def _connected(
    stack: AsyncExitStack, destination: Destination, number: int
) -> Socket:
    socket = await stack.enter_async_context(open_socket(destination))
    await ask(socket, "connect", token=destination.token(f"sync_bench-{number}"))
    return socket


async def _receive(socket: Socket, result: Result, arrived: asyncio.Event) -> None:
    while True:
        frame = await next_frame(socket)
        if frame["type"] == "message":
            published = frame["message"]["data"]["published"]
            result.latencies.append(time.perf_counter() - published)
            arrived.set()


async def _publish(
    load: Load,
    publishers: list[Socket],
    result: Result,
    progress: Callable[[float], None],
) -> None:
    started = time.perf_counter()
    rounds = max(1, round(load.rate * load.seconds))
    for number in range(rounds):
        late = time.perf_counter() - started - number / load.rate
        await asyncio.sleep(max(0.0, -late))
        for index, (socket, sid) in enumerate(
            zip(publishers, load.streams, strict=True)
        ):
            data = {"published": time.perf_counter(), "number": number}
            await ask(socket, "publish", stream=sid, data=data)
            result.published += 1
            result.expected += len(range(index, load.subscribers, len(load.streams)))
        progress((number + 1) / rounds)


async def _finish(result: Result, arrived: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            while len(result.latencies) < result.expected:
                arrived.clear()
                await arrived.wait()
