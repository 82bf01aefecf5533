"""The wall clock of one machine jumps hours ahead, and behind; that of Redis stays.

Redis is slow for that machine, so that many Messages are in flight at each jump.

Staged by a library that moves the wall clock of one worker while it runs (``clock.c``).
Its monotonic clock continues, like the kernel's when the time is set.
"""

import asyncio
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.json_socket import SiteSocket
from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Publisher, Subscriber, account_for
from tests.faults.worker import Worker, create_streams
from tests.programs import RedisServer, cannot_have
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

HOURS = 2
"""More than the hour for which the tokens are good."""
RATE = 12
AT_ONCE = 60
WAIT_SECONDS = 30
REDIS_DELAY = 0.1
"""Seconds, each way."""
TOKEN_EXPIRED, TOKEN_NOT_YET_VALID = 20104, 20105


class Clock:
    """The wall clock of processes with its environment."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or cannot_have("a C compiler")
        library, self._file = folder / "clock.so", folder / "offset"
        options = f"-O2 -shared -fPIC -o {library}".split()
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, *options, source], check=True)
        self._file.write_bytes(bytes(8))
        self.environ = {
            "LD_PRELOAD": str(library),
            "WALL_CLOCK_OFFSET": str(self._file),
        }

    def set(self, hours: int) -> None:
        """Set it that many hours ahead."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", hours * 3600))


async def hours_ahead(worker: Worker) -> int:
    """Return by how much a worker's clock differs, by the date of an answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{worker.base_url}/livez") as answer,
    ):
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    return round((there - time.time()) / 3600)


async def jump(clock: Clock, worker: Worker, hours: int) -> None:
    clock.set(hours)
    async with asyncio.timeout(WAIT_SECONDS):
        while await hours_ahead(worker) != hours:
            continue


async def answer_to_a_token(worker: Worker) -> Any:
    """Return the reply to a token that is valid for an hour from now."""
    async with SiteSocket(worker, "bob") as socket:
        reply = socket.connected
    return reply.get("code", reply["type"])


async def check_rate(publishers: list[Publisher], sid: str) -> None:
    """Publish at both workers in turn, all at once, since they share a rate."""
    count, began = len(publishers), time.monotonic()
    attempts = await asyncio.gather(
        *(publishers[number % count].publish(sid) for number in range(AT_ONCE))
    )
    seconds = 1 + int(time.monotonic() - began)
    accepted = [one for one in attempts if one.status == 201]
    assert 30 <= len(accepted) <= 30 * seconds
    assert {one.code for one in attempts} <= {None, 54009}


@pytest.fixture
async def slow_redis_url(redis_server: RedisServer) -> AsyncIterator[str]:
    async with Proxy(redis_server.port, delay=REDIS_DELAY) as proxy:
        yield proxy.url


async def test_sockets_and_rates_outlive_a_jump_while_redis_is_slow(
    redis_server: RedisServer,
    slow_redis_url: str,
    start_worker: StartWorker,
    tmp_path: Path,
    figures: Figures,
) -> None:
    clock = Clock(tmp_path)
    slow = {"REDIS_URL": slow_redis_url, **clock.environ}
    steady, jumping = await asyncio.gather(
        asyncio.to_thread(start_worker, REDIS_URL=redis_server.url),
        asyncio.to_thread(start_worker, **slow),
    )
    urls = steady.base_url, jumping.base_url
    async with (
        Subscriber(urls[0], "demo") as here,
        Subscriber(urls[1], "demo") as there,
        Publisher(urls[1], "demo") as publisher,
        Publisher(urls[0], "demo") as some,
        Publisher(urls[1], "demo") as others,
    ):
        stop = asyncio.Event()
        load = asyncio.create_task(publisher.load(RATE, stop))
        answers = []
        for hours in (HOURS, -HOURS, 0):
            await jump(clock, jumping, hours)
            (sid,) = await asyncio.to_thread(create_streams, steady, 1)
            await check_rate([some, others], sid)
            answers.append(await answer_to_a_token(jumping))
            assert await answer_to_a_token(steady) == "connected"
        stop.set()
        await load
        accepted = set(publisher.accepted)
        for one in (here, there):
            await one.until(lambda one=one: accepted <= set(one.received))  # type: ignore[misc]
        losses = await account_for(publisher, here, there)

    assert here.lost == there.lost == 0
    assert len(accepted) == len(publisher.attempts)
    # Tokens, like Streams with a TTL, expire by the wall clock of the process asked.
    assert answers == [TOKEN_EXPIRED, TOKEN_NOT_YET_VALID, "connected"]
    figures(
        f"clock of one of two workers jumps {HOURS} h ahead, then {HOURS} h behind, "
        f"Redis with {2 * REDIS_DELAY:.1f} s latency",
        again_after="no pause",
        losses=losses,
        publishes_refused=f"0 of {len(publisher.attempts)}",
        rate_over_both="30 a second",
        new_tokens_there="refused meanwhile (20104, 20105)",
    )
