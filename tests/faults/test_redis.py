"""Redis down, silent or moved: only Messages in flight are lost, all recover."""

import asyncio
import time

import pytest

from tests.faults.conftest import Figures, StartWorker
from tests.faults.scene import check_answers, report, two_workers
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

OUTAGE_SECONDS = 5
FREEZE_SECONDS = 10
ANSWER_SECONDS = 5
"""Whoever asks in the last ones of a freeze may be answered after it."""


@pytest.mark.parametrize("layer", ["redis", "pubsub", "core"])
async def test_redis_killed_and_restarted(
    layer: str, redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_LAYER": layer}
    async with two_workers(start_worker, **environ) as scene:
        killed = time.monotonic()
        await asyncio.to_thread(redis_server.kill)
        await asyncio.sleep(OUTAGE_SECONDS)  # the fault lasts, nothing is awaited
        await asyncio.to_thread(redis_server.start)
        back = time.monotonic()

        first = await scene.until_delivered(back)

    check_answers(scene, killed + 1, back)
    report(
        figures,
        f"Redis killed for {OUTAGE_SECONDS} s, {layer} layer",
        scene,
        began=killed,
        back=back,
        first=first,
    )


@pytest.mark.parametrize("layer", ["redis", "pubsub", "core"])
async def test_redis_frozen(
    layer: str, redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_LAYER": layer}
    async with two_workers(start_worker, **environ) as scene:
        frozen = time.monotonic()
        redis_server.freeze()
        await asyncio.sleep(FREEZE_SECONDS)  # the fault lasts, nothing is awaited
        redis_server.thaw()
        back = time.monotonic()
        first = await scene.until_delivered(back)

    check_answers(scene, frozen, back - ANSWER_SECONDS)
    report(
        figures,
        f"Redis frozen for {FREEZE_SECONDS} s, {layer} layer",
        scene,
        began=frozen,
        back=back,
        first=first,
    )
