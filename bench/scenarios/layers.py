"""Two channel layers on Redis: a process's cost per Message, and throughput.

Each figure comes from a fresh process. With a round trip of 1 ms, as between machines
in one data centre, what matters is how many commands are in flight at once.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from bench.contenders import CONTENDERS, Contender
from bench.generator import Generator, GeneratorFailed, Load, Measurement, measure
from bench.plan import Plan
from bench.process import ServerFailed
from bench.rows import Row, of_publishes

LAYERS = "ours", "pubsub"
PUBLISHERS = 1, 8, 64
MESSAGES = {"ours": 10_000, "pubsub": 2_000}
ROUND_TRIP_MS = 1
FAR_PUBLISHERS = 8, 64
FAR_MESSAGES = {"ours": 5_000, "pubsub": 500}
SOCKETS, PIPELINE, WORKERS = 16, 32, 2
TIMEOUT_SECONDS = 120


def run(plan: Plan) -> Iterator[Row]:
    """Yield the costs of both layers, local and remote, and two workers' publishes."""
    if not plan.redis_url:
        print("skipped: layers: needs redis-server", flush=True)
        return
    for publishers in PUBLISHERS:
        case = f"publish, {publishers} at once"
        yield from _rows(plan, plan.redis_url, "publish", publishers, case)
    yield from _rows(plan, plan.redis_url, "receive", 1, "receive")
    yield from _far(plan)
    for contender in CONTENDERS:
        if contender.name == "product-frames":
            yield from _over_sockets(plan, contender)


def _rows(plan: Plan, url: str, job: str, publishers: int, case: str) -> Iterator[Row]:
    values: dict[str, list[float]] = {name: [] for name in LAYERS}
    for _ in range(plan.repeats):
        for name in LAYERS:
            values[name].append(_alone(name, job, url, publishers, MESSAGES[name])[0])
    for name in LAYERS:
        yield Row(
            scenario="layers",
            case=case,
            contender=f"layer-{name}",
            unit="µs of CPU a Message",
            values=values[name],
            less_is_better=True,
        )


def _far(plan: Plan) -> Iterator[Row]:
    port = plan.redis_url.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "bench.proxy", port, str(ROUND_TRIP_MS)]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert proxy.stdout is not None
        url = f"redis://127.0.0.1:{proxy.stdout.readline().strip()}"
        for publishers in FAR_PUBLISHERS:
            values: dict[str, list[float]] = {name: [] for name in LAYERS}
            for _ in range(plan.repeats):
                for name in LAYERS:
                    count = FAR_MESSAGES[name]
                    figures = _alone(name, "publish", url, publishers, count)
                    values[name].append(figures[1])
            for name in LAYERS:
                yield Row(
                    scenario="layers",
                    case=f"publish, {publishers} at once, {ROUND_TRIP_MS} ms away",
                    contender=f"layer-{name}",
                    unit="publishes/s",
                    values=values[name],
                )
    finally:
        proxy.terminate()
        proxy.communicate()


def _over_sockets(plan: Plan, contender: Contender) -> Iterator[Row]:
    try:
        runs = [_trial(plan, contender) for _ in range(plan.repeats)]
    except (ServerFailed, GeneratorFailed) as error:
        print(f"  {contender.name}: {error}", flush=True)
        return
    case = f"{WORKERS} workers, {SOCKETS} sockets"
    row = of_publishes(runs, scenario="layers", case=case, contender=contender.name)
    row.note = f"{row.median:,.0f}/s as measured"
    row.values = [run.publishes / run.server_cpu for run in runs]
    row.unit = "publishes/s a core"
    yield row


def _trial(plan: Plan, contender: Contender) -> Measurement:
    server = contender.start(plan.redis_url, WORKERS=str(WORKERS))
    server.cores = os.sched_getaffinity(0)
    load = Load(subscribers=WORKERS, publishers=SOCKETS)
    dialect = contender.dialect(1, load.size)
    with server, Generator(dialect, load, port=server.port) as generator:
        generator.tell(f"replies {PIPELINE}")
        return measure(
            generator, server.pids, warm_up=plan.warm_up, seconds=plan.seconds
        )


def _alone(name: str, job: str, url: str, publishers: int, count: int) -> list[float]:
    command = [sys.executable, "-m", "bench.layer", name, job, url]
    done = subprocess.run(
        [*command, str(publishers), str(count)],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    figures: list[float] = json.loads(done.stdout)
    return figures
