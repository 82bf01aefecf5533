"""One Stream, N subscribers: maximum deliveries per second, publish time at 30/s."""

from collections.abc import Iterator

from bench.contenders import Contender
from bench.generator import Load
from bench.plan import Plan
from bench.rows import Row, of_deliveries, of_publishes

SIZES = (1, 100, 1000, 5000)
QUICK_SIZES = (1, 300)
LAYERS_SIZES = (300, 1000)
"""Only these numbers of subscribers are measured for the tutorial over Redis."""

PUBLISH_RATE = 30


def run(plan: Plan) -> Iterator[Row]:
    """Yield both figures for every contender, by number of subscribers."""
    for size in QUICK_SIZES if plan.quick else SIZES:
        for contender in plan.contenders():
            if contender.group != "layer" or size in LAYERS_SIZES:
                yield from _measure(plan, contender, size)


def _measure(plan: Plan, contender: Contender, size: int) -> Iterator[Row]:
    load = Load(subscribers=size)
    orders = f"window {window(size)}", f"rate {PUBLISH_RATE}"
    saturated, steady = plan.repeat(contender, load, *orders)
    case = f"{size} subscriber" + ("s" if size > 1 else "")
    name = contender.name
    yield of_deliveries(saturated, scenario="fanout", case=case, contender=name)
    row = of_publishes(
        steady, scenario="fanout", case=f"publish to {case} at 30/s", contender=name
    )
    row.unit, row.less_is_better = "ms to answer a publish", True
    row.values = row.p50
    yield row


def window(size: int) -> int:
    """Return how many Messages are in flight at once: enough to saturate a core."""
    return max(4, min(64, 2048 // size))
