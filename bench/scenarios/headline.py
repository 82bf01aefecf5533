"""The headline: how many subscribers one core holds at a Stream's full rate.

The largest N at which 30 Messages a second reach all of them with p99 below 100 ms and
no loss, on one Stream and spread over 100 Streams with that rate each. The 100 Streams
have 8 publishing sockets, because requests of one socket are handled in order.
"""

from collections.abc import Callable, Iterator

from bench.contenders import Contender, MakeDialect
from bench.generator import Load, Measurement
from bench.plan import Plan
from bench.rows import Row

PUBLISH_RATE = 30
MAX_P99_MS = 100
PUBLISHERS = {1: 1, 100: 8}
"""Publishing sockets, by number of Streams."""

FIRST = 100
LEAST = 10
MOST = 14_000
ATTEMPTS = 3
DISTURBED = 0.05
"""If other processes use more of the server's core, a failed trial is repeated."""

STEP = 1.08
QUICK_STEP = 1.3
"""Factors between two tried sizes: the resolution of the search."""

Trial = Callable[[int], Measurement | None]
"""Measures with N subscribers; returns nothing if the conditions were not met."""


def run(plan: Plan) -> Iterator[Row]:
    """Yield the largest N for each contender."""
    for streams, publishers in PUBLISHERS.items():
        for contender in plan.contenders("product", "twilsock", "tutorial", "peer"):
            row = measure(plan, contender, streams, publishers)
            row.scenario, row.case = "headline", of_streams(streams)
            yield row


def of_streams(count: int) -> str:
    """Return the name of a case."""
    return "1 Stream" if count == 1 else f"{count} Streams"


def measure(
    plan: Plan,
    contender: Contender,
    streams: int,
    publishers: int,
    dialect: MakeDialect | None = None,
) -> Row:
    """Return the largest N of one contender, in a dialect other than its own if given.

    The scenario and the case are the caller's to fill in.
    """
    passed: dict[int, list[Measurement]] = {}
    order = f"rate {PUBLISH_RATE * streams}"

    def trial(size: int) -> Measurement | None:
        load = Load(subscribers=size, streams=streams, publishers=publishers)
        for _ in range(ATTEMPTS):
            runs = plan.trial(contender, load, order, dialect=dialect)
            if runs and _holds(runs[0], size):
                passed.setdefault(size, []).append(runs[0])
                return runs[0]
            if not runs or runs[0].foreign_cpu < DISTURBED:
                return None
        return None

    found = [_bracket(trial, QUICK_STEP if plan.quick else STEP)]
    for _ in range(plan.repeats - 1):
        found.append(_walk(trial, found[-1]))
    best = [run for size in set(found) for run in passed.get(size, [])]
    return Row(
        scenario="",
        case="",
        contender=contender.name,
        unit="subscribers at 30/s",
        values=[float(size) for size in found],
        p50=[run.p50 for run in best],
        p99=[run.p99 for run in best],
        generator_cpu=max((run.generator_cpu for run in best), default=0.0),
        foreign_cpu=max((run.foreign_cpu for run in best), default=0.0),
    )


def _holds(run: Measurement, size: int) -> bool:
    is_whole = not (run.lost or run.errors or run.closed)
    is_at_rate = run.deliveries >= 0.97 * PUBLISH_RATE * size
    return is_whole and is_at_rate and run.p99 < MAX_P99_MS


def _bracket(trial: Trial, step: float) -> int:
    """Double until a trial fails, or halve until one passes; then bisect to a step."""
    low, high = 0, FIRST
    while high <= MOST and trial(high):
        low, high = high, high * 2
    while low == 0:
        if high // 2 < LEAST:
            return 0
        if trial(high // 2):
            low = high // 2
        else:
            high //= 2
    while high / low > step:
        middle = round((low * high) ** 0.5)
        if trial(middle):
            low = middle
        else:
            high = middle
    return low


def _walk(trial: Trial, size: int) -> int:
    """Find the limit again from its last value: go up while trials pass, else down."""
    if size == 0:
        return LEAST if trial(LEAST) else 0
    if trial(size):
        while size * STEP <= MOST and trial(round(size * STEP)):
            size = round(size * STEP)
        return size
    while size >= LEAST:
        size = round(size / STEP)
        if trial(size):
            return size
    return 0
