"""Sizes a site from measured unit costs: the two tables of docs/scaling.md.

Everything in them is derived from the JSON files in ``bench/results`` and from the
constants here.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from .measured import RESULTS
from .report import number

PUBLISH_RATE = 30
WORKER = "product-frames"

SHARE = 0.5
"""Share of a core that a plan may use; the rest is for peaks and lost nodes."""

WORKER_CONNECTIONS = 20_000
"""``MAX_CONNECTIONS``."""

WORKER_MB = 120
"""Memory of a worker without connections."""

NODE_WORKERS = 6
"""Workers per node with 8 cores; the rest is for nginx and the kernel."""

RETURN_SECONDS = 60
"""Time in which all clients of a site should be able to reconnect."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Unit costs: CPU in µs, memory in KB."""

    delivery: float
    receiving: float
    """A process's share of a Message that reaches any of its connections."""

    rest_publish: float
    socket_publish: float
    connect: float
    connection_kb: float
    redis_publish: float
    redis_process: float
    """Redis' cost for each process that receives a Message."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a site."""

    subscribers: int
    stream_size: int
    """Subscribers of each Stream."""

    rate: float
    """Messages per second on each Stream, published over REST."""

    @property
    def publishes(self) -> float:
        """Messages per second, on all Streams."""
        return self.subscribers / self.stream_size * self.rate

    @property
    def deliveries(self) -> float:
        """Deliveries per second."""
        return self.subscribers * self.rate


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The resources that a load needs."""

    workers: int
    bound_by: str
    """The resource that determines the number of workers."""

    redis_shards: int
    redis_cores: float

    @property
    def nodes(self) -> int:
        """Nodes of :data:`NODE_WORKERS` workers."""
        return ceil(self.workers / NODE_WORKERS)


LOADS = [
    Load(subscribers=subscribers, stream_size=size or subscribers, rate=rate)
    for size, rate in ((100, 0.1), (100, 1), (0, 1), (0, 30))
    for subscribers in (10_000, 100_000, 1_000_000)
]


def read_costs(folder: Path = RESULTS) -> Costs:
    """Return the unit costs that the benchmark measured."""
    fanout, idle, publish, redis = (
        json.loads((folder / f"{name}.json").read_text())["rows"]
        for name in ("fanout", "idle", "publish", "redis")
    )
    opening = _find(idle, WORKER, "connections: opening")
    by_processes = {
        int(row["case"].split()[0]): row["median"]
        for row in redis
        if row["contender"] == "redis"
    }
    line = statistics.linear_regression(list(by_processes), list(by_processes.values()))
    # One Message at a time: waiting Messages of a connection would share one write.
    steady = _find(fanout, WORKER, "to 5000 subscribers at 30/s", "at 30/s")
    size = int(steady["case"].split()[2])
    return Costs(
        delivery=1e6 * steady["server_cpu"] / (PUBLISH_RATE * size),
        receiving=_find(redis, WORKER, "a process receives")["median"],
        rest_publish=1e6 / _find(publish, WORKER, "REST, 8 publishers")["per_core"],
        socket_publish=1e6 / _find(publish, WORKER, "socket, 8 publishers")["per_core"],
        connect=1e6 / opening["median"],
        connection_kb=_find(idle, WORKER, "connections: memory")["median"],
        redis_publish=line.intercept,
        redis_process=line.slope,
    )


def _find(
    rows: Sequence[dict[str, Any]], contender: str, *cases: str
) -> dict[str, Any]:
    found = (
        row
        for case in cases
        for row in rows
        if row["contender"] == contender and row["case"].endswith(case)
    )
    return next(found)


def received_by(stream_size: int, workers: int) -> float:
    """Return the average number of workers with a subscriber of a Stream."""
    return workers * (1 - (1 - 1 / workers) ** stream_size)


def plan(load: Load, costs: Costs) -> Plan:
    """Return the smallest plan for a load; at least two workers, for restarts."""
    workers, bound_by = 2, "two, so that one can restart"
    while more := _lack(load, costs, workers):
        workers, bound_by = workers + 1, more
    receivers = received_by(load.stream_size, workers)
    redis = (
        load.publishes * (costs.redis_publish + receivers * costs.redis_process) / 1e6
    )
    return Plan(
        workers=workers,
        bound_by=bound_by,
        redis_shards=ceil(redis / SHARE),
        redis_cores=redis,
    )


def _lack(load: Load, costs: Costs, workers: int) -> str:
    """Return the resource that needs more workers than these, if any."""
    receivers = received_by(load.stream_size, workers)
    cores = {
        "deliveries": load.deliveries * costs.delivery / 1e6,
        "receiving": load.publishes * receivers * costs.receiving / 1e6,
        "publishing": load.publishes * costs.rest_publish / 1e6,
    }
    if load.subscribers > workers * WORKER_CONNECTIONS:
        return "connections"
    if sum(cores.values()) > workers * SHARE:
        return max(cores, key=lambda name: cores[name])
    if load.subscribers * costs.connect / 1e6 > workers * RETURN_SECONDS:
        return "reconnects"
    return ""


def costs_table(costs: Costs) -> Iterator[str]:
    """Yield the unit costs as Markdown."""
    yield "| what | costs | so a core does |"
    yield "|---|---|---|"
    for what, cost in (
        ("a delivery: one Message to one subscriber", costs.delivery),
        ("receiving a Message, for each process with subscribers", costs.receiving),
        ("a publish over REST", costs.rest_publish),
        ("a publish over a socket", costs.socket_publish),
        ("a connect and subscribe", costs.connect),
        ("a publish, of Redis", costs.redis_publish),
        ("… and for each process that receives it, of Redis", costs.redis_process),
    ):
        yield f"| {what} | {number(cost)} µs | {number(1e6 / cost)} a second |"
    yield f"| a connection with a subscription | {number(costs.connection_kb)} KB | – |"


def sizing_table(costs: Costs) -> Iterator[str]:
    """Yield the plan for each load as Markdown."""
    yield (
        "| subscribers | on each Stream | Messages a second on each | publishes/s "
        "| deliveries/s | workers | bound by | nodes | GB for each node "
        "| Redis cores used | Redis shards |"
    )
    yield "|" + "---:|" * 6 + "---|" + "---:|" * 4
    for load in LOADS:
        it = plan(load, costs)
        held = load.subscribers / it.nodes * costs.connection_kb / 1e6
        memory = held + min(it.workers, NODE_WORKERS) * WORKER_MB / 1000
        cells = [
            f"{load.subscribers:,}",
            f"{load.stream_size:,}" if load.stream_size < load.subscribers else "all",
            f"{load.rate:g}",
            f"{load.publishes:,.0f}",
            f"{load.deliveries:,.0f}",
            str(it.workers),
            it.bound_by,
            str(it.nodes),
            f"{memory:.1f}",
            f"{it.redis_cores:.2f}",
            str(it.redis_shards),
        ]
        yield "| " + " | ".join(cells) + " |"
