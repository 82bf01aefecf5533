"""The load generator's own ceiling, which limits every other figure."""

from collections.abc import Iterator

from bench import dialects
from bench.generator import Generator, Load, Measurement, measure
from bench.plan import Plan
from bench.process import Server, python
from bench.rows import Row, of_deliveries
from project.ports import free_port

CASES = [(300, 1), (300, 16), (5000, 1)]
"""Connections, and frames per write by the server."""


def run(plan: Plan) -> Iterator[Row]:
    """Yield deliveries per second from a server that only writes prepared frames."""
    for connections, per_write in CASES:
        runs = [_trial(plan, connections, per_write) for _ in range(plan.repeats)]
        row = of_deliveries(
            runs,
            scenario="ceiling",
            case=f"{connections} connections, {per_write} frames a write",
            contender="generator",
        )
        row.p50, row.p99 = [], []
        at_full_core = row.median / row.generator_cpu
        row.note = f"{at_full_core:,.0f}/s at all of the generator's core"
        yield row


def _trial(plan: Plan, connections: int, per_write: int) -> Measurement:
    port = free_port()
    numbers = map(str, (port, connections, per_write))
    command = python("bench.baselines.blaster", *numbers)
    load = Load(subscribers=connections, publishers=0)
    dialect = dialects.listener(1, load.size)
    with (
        Server(command, port=port) as server,
        Generator(dialect, load, port=port) as generator,
    ):
        return measure(
            generator, server.pids, warm_up=plan.warm_up, seconds=plan.seconds
        )
