"""docs/scaling.md matches what follows from the benchmark's results."""

from dataclasses import replace

import pytest

from bench.sizing import (
    NODE_WORKERS,
    SHARE,
    WORKER_CONNECTIONS,
    Costs,
    Load,
    plan,
    received_by,
)
from sync_streams.conf import Settings

FREE = Costs(
    delivery=0,
    receiving=0,
    rest_publish=0,
    socket_publish=0,
    connect=0,
    connection_kb=0,
    redis_publish=0,
    redis_process=0,
)


def test_connections_of_a_worker_are_those_of_the_settings() -> None:
    assert Settings().max_connections == WORKER_CONNECTIONS


@pytest.mark.parametrize(
    ("costs", "bound_by", "workers"),
    [
        (FREE, "connections", 5),
        (replace(FREE, delivery=100), "deliveries", 20),
        (replace(FREE, rest_publish=10_000), "publishing", 20),
        (replace(FREE, connect=6000), "reconnects", 10),
    ],
)
def test_the_number_of_workers_follows_from_the_bottleneck(
    costs: Costs, bound_by: str, workers: int
) -> None:
    load = Load(subscribers=100_000, stream_size=100, rate=1)

    found = plan(load, costs)

    assert (found.bound_by, found.workers) == (bound_by, workers)
    assert found.nodes == -(-workers // NODE_WORKERS)


def test_a_message_is_received_by_every_process_with_a_subscriber() -> None:
    assert received_by(1, 50) == pytest.approx(1)
    assert received_by(2, 2) == pytest.approx(1.5)
    assert received_by(1000, 4) == pytest.approx(4)


def test_redis_is_split_before_it_is_full() -> None:
    load = Load(subscribers=20_000, stream_size=20_000, rate=1000)

    def shards(cost: float) -> int:
        return plan(load, replace(FREE, redis_publish=cost)).redis_shards

    assert SHARE == 0.5
    assert (shards(499), shards(501)) == (1, 2)
