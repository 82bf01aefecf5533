"""Workers killed, stopped and restarted behind nginx: their sockets move to others."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import pytest

from sync_streams.connections.close_codes import CloseCode
from tests.compat.twilio_sync.sdk import documented_retry_policy, run_sdk
from tests.faults.conftest import Figures, StartFront, StartWorker
from tests.faults.rig import Publisher, Subscriber, missed
from tests.faults.scene import BOUND_SECONDS, start_together, under_load
from tests.faults.transports import EventStreamSubscriber, SdkSubscriber
from tests.faults.twilsock import Session
from tests.faults.worker import Front, Worker
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

SUBSCRIBERS = 20
OF_EACH = 10
"""Subscribers over each transport."""
RATE = 12
ROOM, MANY = 5, 40
"""Connections that one worker accepts, and those of the other one."""
DRAIN_SECONDS, HOLD_SECONDS = 14, 2
"""How long a worker takes to stop, and for how long, less than half of that, the other
one has no room."""
MAX_RECONNECT_SECONDS = 5
"""The longest pause that ``closing`` asks for."""


@pytest.fixture
async def workers(redis_server: RedisServer, start_worker: StartWorker) -> list[Worker]:
    return await start_together(start_worker, 2, REDIS_URL=redis_server.url)


async def until_all_receive(clients: list[Subscriber], publisher: Publisher) -> float:
    """Wait until all subscribers receive new Messages; return the time."""
    first = len(publisher.attempts)
    for one in clients:
        await one.until(lambda one=one: max(one.received, default=-1) >= first)  # type: ignore[misc]
    return time.monotonic()


@pytest.mark.parametrize("redis_delay", [0, 0.2])
async def test_sockets_of_a_killed_worker_go_to_the_other(
    redis_delay: float,
    redis_server: RedisServer,
    start_worker: StartWorker,
    start_front: StartFront,
    figures: Figures,
) -> None:
    async with Proxy(redis_server.port, delay=redis_delay) as proxy:
        workers = await start_together(start_worker, 2, REDIS_URL=proxy.url)
        front = await asyncio.to_thread(start_front, *workers)
        note = partial(figures, fault_of(redis_delay))
        await kill_one(workers, front, note)


def fault_of(redis_delay: float) -> str:
    """Return the texts of the fault table."""
    slow = f", Redis with {2 * redis_delay:.1f} s latency" if redis_delay else ""
    return f"one of two workers killed behind nginx{slow}"


async def kill_one(
    workers: list[Worker], front: Front, note: Callable[..., None]
) -> None:
    async with under_load(front.base_url, SUBSCRIBERS, RATE) as (clients, publisher):
        await until_all_receive(clients, publisher)

        killed = time.monotonic()
        await asyncio.to_thread(workers[0].stop, signal.SIGKILL)
        for one in clients:
            await one.until(lambda one=one: one.is_subscribed)  # type: ignore[misc]
        back = await until_all_receive(clients, publisher)

    stayed = [one for one in clients if not one.lost]
    assert 0 < len(stayed) < len(clients)
    assert not any(missed(publisher, one) for one in stayed)
    assert back - killed < BOUND_SECONDS
    refused = publisher.refused(0, back)
    assert len(refused) <= 1, refused
    note(
        again_after=f"{back - killed:.1f} s",
        losses=publisher.losses,
        sockets_lost=f"{sum(one.lost for one in clients)} of {len(clients)}",
        publishes_refused=len(refused),
        memory=f"{workers[1].rss_mb} MB",
    )


def share_missed(publisher: Publisher, clients: Sequence[Subscriber]) -> str:
    """Return how many Messages each client missed, on average."""
    count = sum(len(missed(publisher, one)) for one in clients)
    return f"{count / len(clients):.1f}"


async def test_rolling_restart_loses_no_subscriber_and_no_publish(
    workers: list[Worker], start_front: StartFront, figures: Figures
) -> None:
    url = start_front(*workers).base_url
    drains = []
    async with run_sdk() as sdk:
        pages = [EventStreamSubscriber(url, "demo") for _ in range(OF_EACH)]
        sdks = [SdkSubscriber(sdk, url, "demo") for _ in range(OF_EACH)]
        options = {"retryPolicy": documented_retry_policy()}
        quick = [SdkSubscriber(sdk, url, "demo", **options) for _ in range(OF_EACH)]
        others = *pages, *sdks, *quick
        async with under_load(url, OF_EACH, RATE, *others) as scene:
            clients, publisher = scene
            await until_all_receive(clients, publisher)
            began = time.monotonic()
            for worker in workers:
                stopping = time.monotonic()
                assert await asyncio.to_thread(worker.stop) == -signal.SIGTERM
                drains.append(time.monotonic() - stopping)
                await asyncio.to_thread(worker.start)
                await until_all_receive(clients, publisher)
            ended = time.monotonic()

    assert publisher.refused(0, ended) == []
    assert all(one.is_subscribed for one in clients)
    shares: dict[str, Sequence[Subscriber]] = {
        "JSON": clients[:OF_EACH],
        "SSE": pages,
        "SDK": sdks,
        "SDK with retryPolicy": quick,
    }
    figures(
        "rolling restart of two workers behind nginx",
        again_after="no pause",
        losses=publisher.losses,
        closed=f"{sum(one.lost for one in clients)} connections, all reconnected",
        missed_by_each=" + ".join(
            f"{share_missed(publisher, some)} ({name})" for name, some in shares.items()
        ),
        took=f"{ended - began:.1f} s",
        slowest_drain=f"{max(drains):.1f} s",
        publishes_refused=f"0 of {len(publisher.attempts)}",
    )


async def test_a_worker_that_stops_while_redis_hangs_ends_in_time(
    workers: list[Worker], redis_server: RedisServer, figures: Figures
) -> None:
    leaving, _ = workers
    async with (
        Subscriber(leaving.base_url, "demo") as client,
        Session(leaving.base_url) as session,
    ):
        redis_server.freeze()
        stopped = time.monotonic()
        await asyncio.to_thread(leaving.stop)
        took = time.monotonic() - stopped
        await client.until(lambda: client.lost > 0)
        code = await session.until_closed()

    assert took < BOUND_SECONDS
    assert client.frames[-1]["type"] == "closing"
    assert code == CloseCode.GOING_AWAY
    figures(
        "SIGTERM of one of two workers while Redis is frozen",
        sockets_lost="0, all closed by the server",
        ended_after=f"{took:.1f} s",
    )


async def test_no_connection_is_closed_before_another_worker_has_room(
    redis_server: RedisServer, start_worker: StartWorker
) -> None:
    environ = {"REDIS_URL": redis_server.url}
    full = json.dumps({"MAX_CONNECTIONS": ROOM})
    slow = json.dumps({"DRAIN_SECONDS": DRAIN_SECONDS})
    other, leaving = await asyncio.gather(
        asyncio.to_thread(start_worker, FAULT_SETTINGS=full, **environ),
        asyncio.to_thread(start_worker, FAULT_SETTINGS=slow, **environ),
    )
    clients = [Subscriber(leaving.base_url, "demo") for _ in range(MANY)]
    async with AsyncExitStack() as stack, AsyncExitStack() as others:
        for _ in range(ROOM):
            await others.enter_async_context(Subscriber(other.base_url, "demo"))
        for one in clients:
            await stack.enter_async_context(one)
        publisher = Publisher(other.base_url, "demo")
        await stack.enter_async_context(publisher)

        leaving.program.process.send_signal(signal.SIGTERM)
        for _ in range(HOLD_SECONDS * RATE):
            await publisher.publish()
            await asyncio.sleep(1 / RATE)  # the rate, not a wait for deliveries
        for one in clients:
            await one.until(lambda one=one: len(one.received) == HOLD_SECONDS * RATE)  # type: ignore[misc]
        held = [one.lost for one in clients]
        await others.aclose()
        leaves = [
            asyncio.create_task(one.until(partial(has_left, one))) for one in clients
        ]
        await asyncio.wait(leaves, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(leaving.stop, signal.SIGKILL)
        await asyncio.gather(*leaves)

    assert held == [0] * MANY


def has_left(one: Subscriber) -> bool:
    return one.lost > 0
