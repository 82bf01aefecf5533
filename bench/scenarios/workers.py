"""One and two workers behind one port, joined by Redis: does the second one help?

On a machine with two cores the load generator needs its share of them, so the figure is
deliveries per CPU second of the workers times their number, as if each had a core. The
load is steady, at half a core for one worker: beyond saturation, waiting Messages are
written together, which favours fewer workers.
"""

import os
from collections.abc import Iterator

from bench.contenders import Contender
from bench.generator import Generator, GeneratorFailed, Load, Measurement, measure
from bench.plan import Plan
from bench.process import ServerFailed
from bench.rows import Row, of_deliveries

PUBLISH_RATE = 30
WORKERS = (1, 2)
SUBSCRIBERS = {"tutorial-uvicorn": 80, "product-uvicorn": 800, "product-frames": 3000}
"""Subscribers that keep half a core busy at that rate, by contender."""


def run(plan: Plan) -> Iterator[Row]:
    """Yield deliveries per second at one core per worker, with one and two workers."""
    if not plan.redis_url:
        print("skipped: workers: needs redis-server", flush=True)
        return
    for contender in plan.contenders("product", "tutorial"):
        if contender.name not in SUBSCRIBERS:
            continue
        for workers in WORKERS:
            try:
                runs = [_trial(plan, contender, workers) for _ in range(plan.repeats)]
            except (ServerFailed, GeneratorFailed) as error:
                print(f"  {contender.name}: {error}", flush=True)
                break
            yield _row(contender.name, workers, runs)


def _row(name: str, workers: int, runs: list[Measurement]) -> Row:
    case = f"{workers} worker" + ("s" if workers > 1 else "")
    row = of_deliveries(runs, scenario="workers", case=case, contender=name)
    row.note = f"{row.median:,.0f}/s as measured"
    row.values = [workers * run.deliveries / run.server_cpu for run in runs]
    row.server_cpu = workers
    return row


def _trial(plan: Plan, contender: Contender, workers: int) -> Measurement:
    env = {"WORKERS": str(workers), "LAYER": "pubsub"}
    server = contender.start(plan.redis_url, **env)
    server.cores = os.sched_getaffinity(0)
    load = Load(subscribers=SUBSCRIBERS[contender.name])
    dialect = contender.dialect(1, load.size)
    with server, Generator(dialect, load, port=server.port) as generator:
        generator.tell(f"rate {PUBLISH_RATE}")
        return measure(
            generator, server.pids, warm_up=plan.warm_up, seconds=plan.seconds
        )
