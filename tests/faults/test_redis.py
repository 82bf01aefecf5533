"""Redis down, silent or moved: only Messages in flight are lost, all recover."""

import asyncio

import pytest

from tests.faults.conftest import Figures
from tests.faults.scene import OpenScene, check_answers, report
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

OUTAGE_SECONDS = 5
FREEZE_SECONDS = 10
ANSWER_SECONDS = 5
"""Requests in the last ones of a freeze may be answered after it."""


@pytest.mark.parametrize("layer", ["redis", "pubsub", "core"])
async def test_redis_killed_and_restarted(
    layer: str, redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    async with open_scene(FAULT_LAYER=layer) as scene:
        scene.fault_begins()
        await asyncio.to_thread(redis_server.kill)
        await asyncio.sleep(OUTAGE_SECONDS)  # the fault lasts, nothing is awaited
        await asyncio.to_thread(redis_server.start)
        scene.fault_ends()
        await scene.until_delivered()

    check_answers(scene, scene.began + 1, scene.back)
    report(figures, f"Redis killed for {OUTAGE_SECONDS} s, {layer} layer", scene)


@pytest.mark.parametrize("layer", ["redis", "pubsub", "core"])
async def test_redis_frozen(
    layer: str, redis_server: RedisServer, open_scene: OpenScene, figures: Figures
) -> None:
    async with open_scene(FAULT_LAYER=layer) as scene:
        scene.fault_begins()
        redis_server.freeze()
        await asyncio.sleep(FREEZE_SECONDS)  # the fault lasts, nothing is awaited
        redis_server.thaw()
        scene.fault_ends()
        await scene.until_delivered()

    check_answers(scene, scene.began, scene.back - ANSWER_SECONDS)
    report(figures, f"Redis frozen for {FREEZE_SECONDS} s, {layer} layer", scene)
