"""Several Redis servers that share the Streams, one of them down."""

import asyncio
import time

import pytest

from tests.conftest import StartRedis
from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Attempt, Publisher, Subscriber, account_for
from tests.faults.scene import BOUND_SECONDS, start_together
from tests.faults.worker import create_streams
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

STREAMS = 20
ROUNDS = 3
"""How often each Stream is published to while a server is gone."""


@pytest.fixture
def servers(start_redis: StartRedis) -> list[RedisServer]:
    return [start_redis() for _ in range(2)]


async def publish_to_all(publisher: Publisher, sids: list[str]) -> list[Attempt]:
    return await asyncio.gather(*map(publisher.publish, sids))


async def until_all_deliver(
    publisher: Publisher, sids: list[str], *subscribers: Subscriber
) -> float:
    """Publish to each Stream until all subscribers receive all; return the time."""
    first, everything = len(publisher.attempts), set(range(STREAMS))

    def received_by(one: Subscriber) -> set[int]:
        return {number % STREAMS for number in one.received if number >= first}

    async with asyncio.timeout(30):
        while any(received_by(one) != everything for one in subscribers):
            await publish_to_all(publisher, sids)
            await asyncio.sleep(0.1)  # the rate, not a wait for deliveries
    return time.monotonic()


async def all_arrive(attempts: list[Attempt], *subscribers: Subscriber) -> None:
    """Wait until all subscribers have every accepted Message."""
    numbers = {one.number for one in attempts if one.status == 201}
    for one in subscribers:
        await one.until(lambda one=one: numbers <= set(one.received))  # type: ignore[misc]


@pytest.mark.parametrize("layer", ["redis", "pubsub", "core"])
async def test_streams_of_the_other_server_go_on(
    layer: str,
    servers: list[RedisServer],
    start_worker: StartWorker,
    figures: Figures,
) -> None:
    url = " ".join(server.url for server in servers)
    environ = {"REDIS_URL": url, "FAULT_LAYER": layer}
    workers = await start_together(start_worker, 2, **environ)
    sids = await asyncio.to_thread(create_streams, workers[0], STREAMS)
    async with (
        Subscriber(workers[0].base_url, *sids) as here,
        Subscriber(workers[1].base_url, *sids) as there,
        Publisher(workers[0].base_url, "demo") as publisher,
    ):
        await until_all_deliver(publisher, sids, here, there)

        await asyncio.to_thread(servers[1].kill)
        killed = time.monotonic()
        gone = [await publish_to_all(publisher, sids) for _ in range(ROUNDS)]
        for attempts in gone:
            await all_arrive(attempts, here, there)
        await asyncio.to_thread(servers[1].start)
        back = time.monotonic()
        first = await until_all_deliver(publisher, sids, here, there)
        await all_arrive(await publish_to_all(publisher, sids), here, there)
        losses = await account_for(publisher, here, there)

    for attempts in gone:
        answers = {(one.status, one.code) for one in attempts}
        assert answers - {(201, None)} == {(503, 20503)}
        # The core layer sends every event over the server of the receiver's channel.
        assert (201, None) in answers or layer == "core"
        assert max(one.took for one in attempts) < BOUND_SECONDS
    assert here.lost == there.lost == 0
    refused = publisher.refused(killed, back)
    figures(
        f"one of two Redis servers killed, {layer} layer",
        again_after=f"{first - back:.1f} s",
        losses=losses,
        refused=f"{len(refused)} of {ROUNDS * STREAMS} publishes",
        slowest_refusal=f"{max(one.took for one in refused):.1f} s",
    )
