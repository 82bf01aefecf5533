"""Clients that vanish silently: no FIN, no reset, no error from the kernel."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Publisher, Subscriber, account_for
from tests.faults.twilsock import Session
from tests.faults.worker import create_streams
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

PEERS = 10
"""Of each protocol."""
SETTINGS = {"KEEPALIVE_SECONDS": 1, "STUCK_TIMEOUT_SECONDS": 1}
BOUND_SECONDS = 15
"""Far above what is set, below the WebSocket pings by which uvicorn would notice."""


async def until_left(client: redis.asyncio.Redis, sid: str) -> None:
    """Wait until no process is in the Stream's group."""
    async with asyncio.timeout(BOUND_SECONDS):
        while await client.pubsub_channels(f"*{sid}*"):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.05)


async def test_silent_peers_are_dropped_and_leave_nothing(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_SETTINGS": json.dumps(SETTINGS)}
    worker = await asyncio.to_thread(start_worker, **environ)
    (sid,) = await asyncio.to_thread(create_streams, worker, 1)
    async with (
        redis.asyncio.Redis(port=redis_server.port) as client,
        Proxy(worker.port) as gate,
        Subscriber(worker.base_url, "demo") as healthy,
        Publisher(worker.base_url, "demo") as publisher,
        AsyncExitStack() as peers,
    ):
        for _ in range(PEERS):
            await peers.enter_async_context(Subscriber(gate.base_url, sid))
            session = await peers.enter_async_context(Session(gate.base_url))
            await session.subscribe(sid)
        assert await client.pubsub_channels(f"*{sid}*")
        before = worker.rss_mb

        gate.is_silent = True
        silent = time.monotonic()
        assert (await publisher.publish(sid)).status == 201
        assert (await publisher.publish()).status == 201
        await gate.until_all_closed(BOUND_SECONDS)
        await until_left(client, sid)
        await healthy.until(lambda: 1 in healthy.received)
        losses = await account_for(publisher, healthy)
        gate.close()

    assert healthy.lost == 0
    figures(
        f"{2 * PEERS} clients vanish, half-open sockets",
        again_after="no pause",
        losses=losses,
        sockets_lost=f"{len(gate.closed)}, the vanished ones",
        dropped_after=f"{max(gate.closed) - silent:.1f} s "
        f"(keep-alive {SETTINGS['KEEPALIVE_SECONDS']} s, "
        f"stuck {SETTINGS['STUCK_TIMEOUT_SECONDS']} s)",
        memory=f"{before} → {worker.rss_mb} MB",
    )
