"""One process is cut off from Redis while others publish: its clients get a gap."""

import asyncio
import json

import pytest
import redis.asyncio

from sync_streams.connections.close_codes import CloseCode
from tests.faults.conftest import Figures
from tests.faults.scene import OpenScene, report
from tests.faults.twilsock import Session
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

CUT_OFF_SECONDS = 8
FULL_SECONDS = 4
SHORT_SECONDS = 2
NO_PROBE = json.dumps({"PROBE_SECONDS": 60})
"""None is sent while the test lasts."""


async def lose_connections(redis_server: RedisServer, seconds: float) -> None:
    """End the connections on which workers listen; accept no others for a while."""
    async with redis.asyncio.Redis(port=redis_server.port) as client:
        await client.config_set("maxclients", 1)
        assert await client.client_kill_filter(_type="pubsub") >= 2
        await asyncio.sleep(seconds)  # the fault lasts, nothing is awaited
        await client.config_set("maxclients", 10_000)


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_a_worker_is_cut_off_from_redis(
    layer: str, redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    async with Proxy(redis_server.port) as gate:
        second = {"REDIS_URL": gate.url}
        async with (
            open_scene(second, FAULT_LAYER=layer) as scene,
            Session(scene.workers[1].base_url) as session,
        ):
            await session.subscribe(scene.subscribers[1].sids["demo"])
            scene.fault_begins()
            gate.is_silent = True
            await asyncio.sleep(CUT_OFF_SECONDS)  # the fault lasts, nothing is awaited
            gate.is_silent = False
            scene.fault_ends()
            await scene.until_delivered()
            # An SDK, which has no gap, learns of it from the end of its connection.
            assert await session.until_closed() == CloseCode.GOING_AWAY

    assert scene.publisher.losses is not None
    assert scene.publisher.losses.lost > 0
    fault = f"one of two workers cut off from Redis for {CUT_OFF_SECONDS} s"
    report(figures, f"{fault}, {layer} layer", scene)


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_connections_that_listen_are_killed(
    layer: str, redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    async with (
        open_scene(FAULT_LAYER=layer) as scene,
        redis.asyncio.Redis(port=redis_server.port) as client,
    ):
        scene.fault_begins()
        assert await client.client_kill_filter(_type="pubsub") >= 2
        await scene.until_delivered()

    report(figures, f"CLIENT KILL TYPE pubsub, {layer} layer", scene)


async def test_connections_break_and_are_mended_between_two_probes(
    redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    environ = {"FAULT_LAYER": "pubsub", "FAULT_SETTINGS": NO_PROBE}
    async with open_scene(**environ) as scene:
        scene.fault_begins()
        await lose_connections(redis_server, SHORT_SECONDS)
        scene.fault_ends()
        await scene.until_delivered()

    assert scene.publisher.losses is not None
    assert scene.publisher.losses.lost > 0
    fault = f"connections down for {SHORT_SECONDS} s, between two probes"
    report(figures, f"{fault}, pubsub layer", scene)


@pytest.mark.parametrize("layer", ["redis", "pubsub"])
async def test_redis_accepts_no_more_clients(
    layer: str, redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    async with open_scene(FAULT_LAYER=layer) as scene:
        scene.fault_begins()
        await lose_connections(redis_server, FULL_SECONDS)
        scene.fault_ends()
        await scene.until_delivered()

    fault = f"Redis accepts no new clients for {FULL_SECONDS} s, {layer} layer"
    report(figures, fault, scene)
