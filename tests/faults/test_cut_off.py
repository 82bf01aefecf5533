"""One process is cut off from Redis while others publish: its clients get a gap."""

import asyncio
import json
import time

import pytest
import redis.asyncio

from sync_streams.connections.close_codes import CloseCode
from tests.faults.conftest import Figures, StartWorker
from tests.faults.scene import report, two_workers
from tests.faults.twilsock import Session
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

CUT_OFF_SECONDS = 8
FULL_SECONDS = 4
SHORT_SECONDS = 2
NO_PROBE = json.dumps({"PROBE_SECONDS": 60})
"""None is sent while the test lasts."""


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_a_worker_is_cut_off_from_redis(
    layer: str, redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_LAYER": layer}
    async with Proxy(redis_server.port) as gate:
        second = {"REDIS_URL": gate.url}
        async with (
            two_workers(start_worker, second, **environ) as scene,
            Session(scene.workers[1].base_url) as session,
        ):
            await session.subscribe(scene.subscribers[1].sids["demo"])
            began = time.monotonic()
            gate.is_silent = True
            await asyncio.sleep(CUT_OFF_SECONDS)  # the fault lasts, nothing is awaited
            gate.is_silent = False
            back = time.monotonic()
            first = await scene.until_delivered(back)
            # An SDK, which knows no gap, is told by the end of its connection.
            assert await session.until_closed() == CloseCode.GOING_AWAY

    assert scene.publisher.losses is not None
    assert scene.publisher.losses.lost > 0
    fault = f"one of two workers cut off from Redis for {CUT_OFF_SECONDS} s"
    times = {"began": began, "back": back, "first": first}
    report(figures, f"{fault}, {layer} layer", scene, **times)


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_connections_that_listen_are_killed(
    layer: str, redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_LAYER": layer}
    async with (
        two_workers(start_worker, **environ) as scene,
        redis.asyncio.Redis(port=redis_server.port) as client,
    ):
        began = time.monotonic()
        assert await client.client_kill_filter(_type="pubsub") >= 2
        first = await scene.until_delivered(began)

    times = {"began": began, "back": began, "first": first}
    report(figures, f"CLIENT KILL TYPE pubsub, {layer} layer", scene, **times)


async def test_connections_break_and_are_mended_between_two_probes(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"FAULT_LAYER": "pubsub", "FAULT_SETTINGS": NO_PROBE}
    async with (
        two_workers(start_worker, REDIS_URL=redis_server.url, **environ) as scene,
        redis.asyncio.Redis(port=redis_server.port) as client,
    ):
        await client.config_set("maxclients", 1)
        began = time.monotonic()
        assert await client.client_kill_filter(_type="pubsub") >= 2
        await asyncio.sleep(SHORT_SECONDS)  # the fault lasts, nothing is awaited
        await client.config_set("maxclients", 10_000)
        back = time.monotonic()
        first = await scene.until_delivered(back)

    assert scene.publisher.losses is not None
    assert scene.publisher.losses.lost > 0
    fault = f"connections away for {SHORT_SECONDS} s, between two probes"
    times = {"began": began, "back": back, "first": first}
    report(figures, f"{fault}, pubsub layer", scene, **times)


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_redis_takes_no_more_clients(
    layer: str, redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_LAYER": layer}
    async with (
        two_workers(start_worker, **environ) as scene,
        redis.asyncio.Redis(port=redis_server.port) as client,
    ):
        await client.config_set("maxclients", 1)
        began = time.monotonic()
        await client.client_kill_filter(_type="pubsub")
        await asyncio.sleep(FULL_SECONDS)  # the fault lasts, nothing is awaited
        await client.config_set("maxclients", 10_000)
        back = time.monotonic()
        first = await scene.until_delivered(back)

    fault = f"Redis takes no new clients for {FULL_SECONDS} s, {layer} layer"
    times = {"began": began, "back": back, "first": first}
    report(figures, fault, scene, **times)
