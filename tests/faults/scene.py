"""The observers of a fault: subscribers, and a publisher that continues."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from functools import partial

from tests.faults.rig import Figures, Publisher, Subscriber, account_for
from tests.faults.worker import StartWorker, Worker

RATE = 15
BOUND_SECONDS = 10
"""Maximum time of a response, whatever is broken: twice ``BROADCAST_TIMEOUT_SECONDS``,
and as much again on a busy machine."""
SETTLED = 10
"""Messages after a fault that all have to arrive."""
SHOWN = 20
"""Publishes, and lines of each worker's log, that a failed test shows."""


@dataclass
class Scene:
    """Two workers, a subscriber at each and one publisher at the first."""

    workers: list[Worker]
    subscribers: list[Subscriber]
    publisher: Publisher
    rss_mb: list[float]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = 0
    """When the fault began."""
    back: float = 0
    """When the fault ended."""
    first: float = 0
    """When both subscribers had received a Message published after that."""

    def fault_begins(self) -> None:
        """Record the beginning of the fault."""
        self.began = self.back = time.monotonic()

    def fault_ends(self) -> None:
        """Record the end of the fault."""
        self.back = time.monotonic()

    async def until_delivered(self) -> None:
        """Wait until each subscriber receives a Message published since the end.

        Raises: TimeoutError: with what all of them saw, for a failed test to show.
        """
        firsts = []
        for one in self.subscribers:
            try:
                await one.until(lambda one=one: self._has_received(one, self.back))  # type: ignore[misc]
            except TimeoutError as error:
                raise TimeoutError("\n".join((str(error), *self._story()))) from None
            firsts.append(min(t for t in one.received.values() if t > self.back))
        self.first = max(firsts)

    async def publish_a_row(self) -> None:
        """Publish several Messages and wait until all accepted ones have arrived."""
        numbers: set[int] = set()
        async with asyncio.timeout(BOUND_SECONDS):
            while not numbers:  # a worker that doubts its Redis refuses them
                row = [await self.publisher.publish() for _ in range(SETTLED)]
                numbers = {one.number for one in row if one.status == 201}
        for one in self.subscribers:
            await one.until(lambda one=one: numbers <= set(one.received))  # type: ignore[misc]
            assert one.doubles == 0

    def _story(self) -> Iterator[str]:
        yield f"The fault lasted from {self.began:.3f} to {self.back:.3f}."
        for one in self.subscribers:
            yield f"{one.url} last received {max(one.received.items(), default=None)}"
        yield from map(str, self.publisher.attempts[-SHOWN:])
        for worker in self.workers:
            yield from (worker.base_url, *worker.program.output.splitlines()[-SHOWN:])

    def _has_received(self, one: Subscriber, since: float) -> bool:
        return any(
            self.publisher.attempts[n].began > since and t > since
            for n, t in one.received.items()
        )


OpenScene = Callable[..., AbstractAsyncContextManager[Scene]]


def report(figures: Figures, fault: str, scene: Scene) -> None:
    """Record the figures; no socket may have been lost."""
    sockets = sum(one.lost for one in scene.subscribers)
    refused = scene.publisher.refused(scene.began, scene.first)
    assert sockets == 0
    figures(
        fault,
        again_after=f"{scene.first - scene.back:.1f} s",
        losses=scene.publisher.losses,
        sockets_lost=sockets,
        refused=f"{len(refused)} publishes",
        slowest_refusal=f"{max((one.took for one in refused), default=0):.1f} s",
        memory=f"{scene.rss_mb[0]} → {scene.workers[0].rss_mb} MB",
    )


async def start_together(
    start_worker: StartWorker, count: int, **environ: str
) -> list[Worker]:
    """Start that many workers at once."""
    start = partial(start_worker, **environ)
    return await asyncio.gather(*(asyncio.to_thread(start) for _ in range(count)))


@asynccontextmanager
async def two_workers(
    start_worker: StartWorker, second: Mapping[str, str] = {}, /, **environ: str
) -> AsyncIterator[Scene]:
    """Start a scene; *second* holds settings of the second worker only."""
    starts = [
        partial(start_worker, **environ),
        partial(start_worker, **{**environ, **second}),
    ]
    workers = await asyncio.gather(*map(asyncio.to_thread, starts))
    urls = [worker.base_url for worker in workers]
    async with (
        Subscriber(urls[0], "demo") as here,
        Subscriber(urls[1], "demo") as there,
        Publisher(urls[0], "demo") as publisher,
    ):
        memory = [worker.rss_mb for worker in workers]
        scene = Scene(workers, [here, there], publisher, memory)
        await scene.publish_a_row()
        load = asyncio.create_task(publisher.load(RATE, scene.stop))
        yield scene
        scene.stop.set()
        await load
        await scene.publish_a_row()
        await account_for(publisher, here, there)


def check_answers(scene: Scene, since: float, until: float) -> None:
    refused = scene.publisher.refused(since, until)
    assert refused
    assert {(one.status, one.code) for one in refused} == {(503, 20503)}
    assert max(one.took for one in refused) < BOUND_SECONDS


@asynccontextmanager
async def under_load(
    base_url: str, subscribers: int, rate: float, *others: Subscriber
) -> AsyncIterator[tuple[list[Subscriber], Publisher]]:
    """Subscribe clients over all transports, and publish to them at a rate."""
    async with AsyncExitStack() as stack:
        clients = [Subscriber(base_url, "demo") for _ in range(subscribers)]
        clients += others
        for one in clients:
            await stack.enter_async_context(one)
        publisher = await stack.enter_async_context(Publisher(base_url, "demo"))
        stop = asyncio.Event()
        load = asyncio.create_task(publisher.load(rate, stop))
        yield clients, publisher
        stop.set()
        await load
        await account_for(publisher, *clients)
