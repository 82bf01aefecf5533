"""The master Redis down or silent: Sentinels promote another, and all continues."""

import asyncio
import time

import pytest
import redis

from tests.faults.conftest import Figures, StartWorker
from tests.faults.scene import check_answers, report, two_workers
from tests.faults.sentinel import Guarded

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_publishing_and_delivery_go_to_the_new_master(
    fault: str, guarded: Guarded, start_worker: StartWorker, figures: Figures
) -> None:
    async with two_workers(start_worker, REDIS_URL=guarded.url) as scene:
        if fault == "killed":
            await asyncio.to_thread(guarded.master.kill)
        else:
            guarded.master.freeze()
        began = time.monotonic()
        first = await scene.until_delivered(began)

    check_answers(scene, began, first)
    with redis.Redis(port=guarded.replica.port) as client:
        assert client.info("replication")["role"] == "master"
        # The publish rate is counted there, too.
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] > 0
    report(
        figures,
        f"master Redis {fault}, Sentinels name another",
        scene,
        began=began,
        back=began,
        first=first,
    )
