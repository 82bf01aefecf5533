"""A mass reconnect: clients are accepted at a rate and disturb no one."""

import asyncio
import json
import resource
import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Figures, StartWorker
from tests.faults.crowd import Crowd
from tests.faults.health import until_answered, until_ready
from tests.faults.scene import under_load
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

CROWD = 1000
RATE = 120
"""Connections that the process accepts each second."""
SUBSCRIBERS = 5
PUBLISH_RATE = 4
BOUND_SECONDS = 60
MAX_RECONNECT_SECONDS = 5
FEW_FILES, MANY_CLIENTS = 256, 400


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process, and those that it starts, open a socket for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_thousand_reconnect_within_a_second(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    settings = json.dumps({"MAX_CONNECTS_PER_SECOND": RATE})
    environ = {"REDIS_URL": redis_server.url, "FAULT_SETTINGS": settings}
    worker = await asyncio.to_thread(start_worker, **environ)
    async with under_load(worker.base_url, SUBSCRIBERS, PUBLISH_RATE) as scene:
        there, publisher = scene
        before = worker.rss_mb
        crowd = Crowd(worker.base_url, CROWD)
        began = time.monotonic()
        await asyncio.wait_for(crowd.come(), BOUND_SECONDS)
        took = time.monotonic() - began
        memory = worker.rss_mb
        last = await publisher.publish()
        for one in there:
            await one.until(lambda one=one: last.number in one.received)  # type: ignore[misc]
        crowd.leave()

    # The server counts by its own seconds, so there are whole ones in between.
    assert took > CROWD / RATE - 2
    assert crowd.refused > 0
    assert crowd.cut == 0
    assert 0 <= min(crowd.pauses) < max(crowd.pauses) <= MAX_RECONNECT_SECONDS
    assert publisher.refused(0, time.monotonic()) == []
    assert [one.lost for one in there] == [0] * SUBSCRIBERS
    figures(
        f"{CROWD} clients reconnect at once",
        again_after="no pause",
        losses=publisher.losses,
        all_connected_after=f"{took:.1f} s (at most {RATE} a second)",
        told_to_reconnect=f"{crowd.refused} times",
        cut_off=crowd.cut,
        slowest_publish=f"{max(one.took for one in publisher.attempts):.1f} s",
        memory=f"{before} → {memory} MB",
    )


async def test_clients_beyond_the_file_limit_are_refused_without_affecting_others(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_FILES": str(FEW_FILES)}
    worker = await asyncio.to_thread(start_worker, **environ)
    async with under_load(worker.base_url, SUBSCRIBERS, PUBLISH_RATE) as scene:
        there, publisher = scene
        crowd = Crowd(worker.base_url, MANY_CLIENTS)
        coming = asyncio.create_task(crowd.come())
        await asyncio.wait_for(crowd.somebody_refused.wait(), BOUND_SECONDS)
        # Redis must be reconnected with the capacity that new clients leave.
        await asyncio.to_thread(redis_server.kill)
        await asyncio.to_thread(redis_server.start)
        full = time.monotonic()
        await there[0].until(
            lambda: any(moment > full for moment in there[0].received.values())
        )
        lives = await until_answered(worker, "/livez")
        # Connections that end make room for a moment, until others take it.
        parts = await until_ready(worker, 503)
        await asyncio.wait_for(crowd.until_connected(FEW_FILES // 2), BOUND_SECONDS)
        connected = crowd.connected
        crowd.leave()
        coming.cancel()
        await until_ready(worker)

    assert lives[0] == 200
    assert not parts["descriptors"]
    assert parts["channel_layer"]
    assert parts["database"]
    assert connected < FEW_FILES
    assert [one.lost for one in there] == [0] * SUBSCRIBERS
    figures(
        f"{MANY_CLIENTS} clients, {FEW_FILES} file descriptors",
        again_after="no pause",
        losses=publisher.losses,
        connected=connected,
        told_to_reconnect=f"{crowd.refused} times",
        handshakes_answered_503=crowd.turned_away,
        cut_off=crowd.cut,
    )
