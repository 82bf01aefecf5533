"""One of 1,000 subscribers stops reading: the effect on the others and on memory."""

from collections.abc import Iterator

from bench import machine
from bench.contenders import Contender
from bench.generator import GeneratorFailed, Load, Measurement, measure
from bench.plan import Plan
from bench.process import ServerFailed
from bench.rows import Row, of_deliveries

SUBSCRIBERS = 1000
PUBLISH_RATE = 10
DATA_BYTES = 4000
SECONDS = 15.0
QUICK_SECONDS = 10.0


def run(plan: Plan) -> Iterator[Row]:
    """Yield the others' p99 and memory growth, without and with a stalled one."""
    for contender in plan.contenders("product", "peer", "sse"):
        # Alternate, so that noise on the machine affects both equally.
        runs: dict[int, list[tuple[Measurement, float]]] = {0: [], 1: []}
        try:
            for _ in range(plan.repeats):
                for stalled, those in runs.items():
                    those.append(_trial(plan, contender, stalled))
        except (ServerFailed, GeneratorFailed) as error:
            print(f"  {contender.name}: {error}", flush=True)
            continue
        for stalled, those in runs.items():
            yield from _rows(contender.name, stalled, those)


def _rows(
    name: str, stalled: int, runs: list[tuple[Measurement, float]]
) -> Iterator[Row]:
    row = of_deliveries(
        [measurement for measurement, _ in runs],
        scenario="stalled",
        case=f"{stalled} of {SUBSCRIBERS} stalled: p99 of the others",
        contender=name,
    )
    row.unit, row.less_is_better = "ms", True
    # Without a delivery there is no time: the run failed.
    row.values = [run.p99 for run, _ in runs if run.deliveries]
    yield row
    yield Row(
        scenario="stalled",
        case=f"{stalled} of {SUBSCRIBERS} stalled: growth of the server",
        contender=name,
        unit="KB/s",
        values=[growth for _, growth in runs],
        less_is_better=True,
    )


def _trial(plan: Plan, contender: Contender, stalled: int) -> tuple[Measurement, float]:
    load = Load(subscribers=SUBSCRIBERS, stalled=stalled, size=DATA_BYTES)
    seconds = QUICK_SECONDS if plan.quick else SECONDS
    with plan.running(contender, load) as (server, generator):
        generator.tell(f"rate {PUBLISH_RATE}")
        measure(generator, server.pids, warm_up=0, seconds=plan.warm_up)
        generator.tell(f"rate {PUBLISH_RATE}")
        before = machine.rss_bytes(server.pids)
        measurement = measure(generator, server.pids, warm_up=0, seconds=seconds)
        growth = machine.rss_bytes(server.pids) - before
    return measurement, growth / 1000 / seconds
