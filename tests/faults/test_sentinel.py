"""The master Redis is down or silent: Sentinels promote another, and all continues."""

import asyncio
import time

import pytest
import redis

from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import WAIT_SECONDS, Publisher
from tests.faults.scene import BOUND_SECONDS, check_answers, report, two_workers
from tests.faults.sentinel import MASTER, Guarded

pytestmark = pytest.mark.redis

REFUSALS = 3


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_publishing_and_delivery_go_to_the_new_master(
    fault: str, guarded: Guarded, start_worker: StartWorker, figures: Figures
) -> None:
    async with two_workers(start_worker, REDIS_URL=guarded.url) as scene:
        if fault == "killed":
            await asyncio.to_thread(guarded.master.kill)
        else:
            guarded.master.freeze()
        scene.fault_begins()
        await scene.until_delivered()

    check_answers(scene, scene.began, scene.first)
    with redis.Redis(port=guarded.replica.port) as client:
        assert client.info("replication")["role"] == "master"
        # The publish rate is counted there, too.
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] > 0
    report(figures, f"master Redis {fault}, Sentinels name another", scene)


async def test_unreachable_sentinels_are_logged_once_and_delay_nobody(
    guarded: Guarded, start_worker: StartWorker, figures: Figures
) -> None:
    guarded.freeze_sentinels()
    worker = await asyncio.to_thread(start_worker, REDIS_URL=guarded.url)
    async with Publisher(worker.base_url, "demo") as publisher:
        refused = [await publisher.publish() for _ in range(REFUSALS)]
        await asyncio.to_thread(worker.program.wait_for, "no Sentinel names")
        lines = worker.program.output.splitlines()
        guarded.thaw_sentinels()
        back = time.monotonic()
        async with asyncio.timeout(WAIT_SECONDS):
            while (await publisher.publish()).status != 201:
                continue
        again = time.monotonic() - back
        await asyncio.to_thread(worker.program.wait_for, "reachable again")
        assert worker.program.output.count("reachable again") == 1

    slowest = max(one.took for one in refused)
    assert {(one.status, one.code) for one in refused} == {(503, 20503)}
    assert slowest < BOUND_SECONDS
    told = [line for line in lines if " unreachable for " in line]
    assert len(told) == 1, told
    assert f"Redis {MASTER} of 127.0.0.1:" in told[0]
    assert told[0].endswith(f"{MASTER}: no answer")
    figures(
        "Sentinels frozen when a worker starts",
        again_after=f"{again:.1f} s",
        slowest_refusal=f"{slowest:.1f} s",
        logged="once, with host and reason",
    )
