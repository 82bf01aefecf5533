"""Scenarios, one per file; each takes a plan and yields rows."""

from collections.abc import Callable, Iterator

from bench.plan import Plan
from bench.rows import Row

from . import (
    ceiling,
    fanout,
    headline,
    idle,
    layers,
    publish,
    redis,
    rest,
    sse,
    stalled,
    start,
    workers,
)

Scenario = Callable[[Plan], Iterator[Row]]

SCENARIOS: dict[str, Scenario] = {
    "ceiling": ceiling.run,
    "headline": headline.run,
    "rest": rest.run,
    "fanout": fanout.run,
    "publish": publish.run,
    "idle": idle.run,
    "sse": sse.run,
    "stalled": stalled.run,
    "start": start.run,
    "workers": workers.run,
    "redis": redis.run,
    "layers": layers.run,
}
