"""The publish rate of one Stream, while four processes hammer it together."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from itertools import count

import pytest
import redis.asyncio

from sync_streams.values.sids import name_digits
from tests.clients.json_socket import SiteSocket
from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Losses, Subscriber
from tests.faults.scene import start_together
from tests.faults.worker import Worker, create_streams
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

WORKERS = 4
RATE, WINDOW = 30, 1_000_000
"""Messages that any window of that many microseconds holds."""
HAMMER_SECONDS = 3
AT_ONCE = 5
"""Messages of each publisher that await a reply."""
SLACK = WINDOW / 2
"""Maximum time, on a busy machine, until Redis records a request."""
SETTINGS = {"MAX_FRAMES_PER_SECOND": 100_000}

_numbers = count()


@dataclass
class Log:
    """Redis' decisions, in order, on its own clock in microseconds."""

    allowed: list[int] = field(default_factory=list)
    refused: list[tuple[int, int]] = field(default_factory=list)
    """When, and how many had been allowed before."""

    asked: int = 0

    def note(self, moment: int, command: str) -> None:
        """Process a line of Redis' MONITOR: a script, or a command in it."""
        if command.startswith(("EVAL ", "EVALSHA ")):
            self._settle()
            self.asked = moment
        elif command.startswith("LPUSH "):
            self.allowed.append(int(command.split()[-1]))
            self.asked = 0

    def _settle(self) -> None:
        if self.asked:
            self.refused.append((self.asked, len(self.allowed)))


async def watch(server: RedisServer, sid: str, ready: asyncio.Event, log: Log) -> None:
    """Keep the log until cancelled."""
    async with (
        redis.asyncio.Redis(port=server.port) as client,
        client.monitor() as monitor,
    ):
        ready.set()
        async for line in monitor.listen():
            if f":rate:{{{name_digits(sid)}}}" in line["command"]:
                log.note(int(line["time"] * 1e6), line["command"])


class Hammer:
    """Publishes over a socket as fast as replies arrive."""

    def __init__(self, socket: SiteSocket, sid: str) -> None:
        self._socket, self._sid = socket, sid
        self.accepted: set[int] = set()
        """Numbers of the Messages."""

    async def strike(self) -> None:
        """Publish for a while, and wait for the last replies."""
        for _ in range(AT_ONCE):
            await self._publish()
        waiting, until = AT_ONCE, time.monotonic() + HAMMER_SECONDS
        while waiting:
            await self._take_acknowledgement()
            if time.monotonic() < until:
                await self._publish()
            else:
                waiting -= 1

    async def _publish(self) -> None:
        n = next(_numbers)
        await self._socket.request("publish", id=n, stream=self._sid, data={"n": n})

    async def _take_acknowledgement(self) -> None:
        answer = await self._socket.receive()
        if answer["type"] == "published":
            self.accepted.add(answer["id"])
        else:
            assert answer["code"] == 54009, answer


async def hammer(worker: Worker, sid: str) -> set[int]:
    """Publish as fast as replies arrive; return the accepted numbers."""
    async with SiteSocket(worker, compression=None) as socket:
        publisher = Hammer(socket, sid)
        await publisher.strike()
    return publisher.accepted


async def test_no_second_holds_31_and_nothing_is_refused_without_need(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    settings = {"REDIS_URL": redis_server.url, "FAULT_SETTINGS": json.dumps(SETTINGS)}
    workers = await start_together(start_worker, WORKERS, **settings)
    (sid,) = await asyncio.to_thread(create_streams, workers[0], 1)
    log, ready = Log(), asyncio.Event()
    async with Subscriber(workers[0].base_url, sid) as subscriber:
        watching = asyncio.create_task(watch(redis_server, sid, ready, log))
        await ready.wait()
        found = await asyncio.gather(*(hammer(worker, sid) for worker in workers))
        accepted = set().union(*found)
        await subscriber.until(lambda: accepted <= set(subscriber.received))
        watching.cancel()
        await asyncio.wait([watching])

    assert len(log.allowed) == len(accepted) > RATE
    assert log.refused
    gaps = [
        later - first
        for first, later in zip(log.allowed, log.allowed[RATE:], strict=False)
    ]
    assert min(gaps) >= WINDOW
    for moment, before in log.refused:
        assert before >= RATE
        assert moment - log.allowed[before - RATE] < WINDOW + SLACK
    figures(
        f"{WORKERS} processes hammer one Stream for {HAMMER_SECONDS} s",
        again_after="no pause",
        losses=Losses(lost=0, due=len(accepted), told=0),
        refused=f"{len(log.refused)} of {len(log.refused) + len(log.allowed)}",
        shortest_time_that_held_31=f"{min(gaps) / 1e6:.4f} s",
        accepted_by_process=" + ".join(str(len(numbers)) for numbers in found),
    )
