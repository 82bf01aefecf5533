"""Workers killed, stopped and restarted behind nginx: their sockets find another."""

import asyncio
import signal
import time

import pytest

from tests.faults.conftest import Figures, StartFront, StartWorker
from tests.faults.rig import Publisher, Subscriber, missed
from tests.faults.scene import under_load
from tests.faults.worker import Worker
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

SUBSCRIBERS = 20
RATE = 12
MAX_RECONNECT_SECONDS = 5
"""The longest pause that ``closing`` asks for."""


@pytest.fixture
def workers(redis_server: RedisServer, start_worker: StartWorker) -> list[Worker]:
    return [start_worker(REDIS_URL=redis_server.url) for _ in range(2)]


async def all_hear(clients: list[Subscriber], publisher: Publisher) -> float:
    """Wait until all subscribers receive new Messages; return the time."""
    first = len(publisher.attempts)
    for one in clients:
        await one.until(lambda one=one: max(one.received, default=-1) >= first)  # type: ignore[misc]
    return time.monotonic()


async def test_sockets_of_a_killed_worker_go_to_the_other(
    workers: list[Worker], start_front: StartFront, figures: Figures
) -> None:
    front = start_front(*workers)
    async with under_load(front.base_url, SUBSCRIBERS, RATE) as (clients, publisher):
        await all_hear(clients, publisher)

        killed = time.monotonic()
        await asyncio.to_thread(workers[0].stop, signal.SIGKILL)
        for one in clients:
            await one.until(lambda one=one: one.is_subscribed)  # type: ignore[misc]
        back = await all_hear(clients, publisher)

    stayed = [one for one in clients if not one.lost]
    assert 0 < len(stayed) < len(clients)
    assert not any(missed(publisher, one) for one in stayed)
    assert back - killed < MAX_RECONNECT_SECONDS
    refused = publisher.refused(0, back)
    assert len(refused) <= 1, refused
    figures(
        "one of two workers killed behind nginx",
        again_after=f"{back - killed:.1f} s",
        losses=publisher.losses,
        sockets_lost=f"{sum(one.lost for one in clients)} of {len(clients)}",
        publishes_refused=len(refused),
        memory=f"{workers[1].rss_mb} MB",
    )


async def test_rolling_restart_loses_no_subscriber_and_no_publish(
    workers: list[Worker], start_front: StartFront, figures: Figures
) -> None:
    front = start_front(*workers)
    drains = []
    async with under_load(front.base_url, SUBSCRIBERS, RATE) as (clients, publisher):
        await all_hear(clients, publisher)
        began = time.monotonic()
        for worker in workers:
            stopping = time.monotonic()
            assert await asyncio.to_thread(worker.stop) == -signal.SIGTERM
            drains.append(time.monotonic() - stopping)
            await asyncio.to_thread(worker.start)
            await all_hear(clients, publisher)
        ended = time.monotonic()

    assert publisher.refused(0, ended) == []
    assert all(one.is_subscribed for one in clients)
    figures(
        "rolling restart of two workers behind nginx",
        again_after="no pause",
        losses=publisher.losses,
        sent_away=f"{sum(one.lost for one in clients)} sockets, all back",
        took=f"{ended - began:.1f} s",
        slowest_drain=f"{max(drains):.1f} s",
        publishes_refused=f"0 of {len(publisher.attempts)}",
    )
