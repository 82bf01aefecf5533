"""The cost of an idle connection: memory, and the time to open it."""

import time
from collections.abc import Iterator
from functools import partial

from bench import machine
from bench.contenders import Contender
from bench.generator import Generator, GeneratorFailed, Load
from bench.plan import Plan
from bench.process import ServerFailed
from bench.rows import Row

CONNECTIONS = 5000
QUICK_CONNECTIONS = 1000


def run(plan: Plan) -> Iterator[Row]:
    """Yield memory per connection and connections opened per second."""
    size = QUICK_CONNECTIONS if plan.quick else CONNECTIONS
    for contender in plan.contenders("product", "twilsock", "tutorial", "peer"):
        try:
            runs = [_trial(contender, plan, size) for _ in range(plan.repeats)]
        except (ServerFailed, GeneratorFailed) as error:
            print(f"  {contender.name}: {error}", flush=True)
            continue
        memory, rates = zip(*runs, strict=True)
        row = partial(Row, scenario="idle", contender=contender.name)
        yield row(
            case=f"{size} connections: memory",
            unit="KB a connection",
            values=list(memory),
            less_is_better=True,
        )
        yield row(
            case=f"{size} connections: opening",
            unit="connects+subscribes/s",
            values=list(rates),
        )


def _trial(contender: Contender, plan: Plan, size: int) -> tuple[float, float]:
    redis_url = plan.redis_url if contender.needs_redis else ""
    dialect = contender.dialect(1, 200)
    with contender.start(redis_url) as server:
        _touch(contender, server.port)
        before = machine.rss_bytes(server.pids)
        with Generator(dialect, Load(subscribers=size), port=server.port) as generator:
            time.sleep(plan.warm_up)
            memory = machine.rss_bytes(server.pids) - before
        return memory / 1000 / size, size / generator.opened["seconds"]


def _touch(contender: Contender, port: int) -> None:
    """Open a few connections first, so that one-time costs are not counted."""
    dialect = contender.dialect(1, 200)
    with Generator(dialect, Load(subscribers=20), port=port):
        pass
