"""Publishes per second: over a socket, over HTTP, and to an empty view to compare.

HTTP is measured alone, as fast as responses arrive, and while subscribers receive a
Stream at its full rate, where the response time counts.
"""

from collections.abc import Iterator

from bench import dialects
from bench.contenders import Contender, MakeDialect
from bench.generator import Load
from bench.plan import Plan
from bench.rows import Row, of_publishes

PUBLISHERS = (1, 8)
HTTP_PUBLISHERS = (1, 8, 64)
PIPELINE = 32
"""Publishes that one socket has in flight."""

LISTENERS = 1000
FULL_RATE = 30


def run(plan: Plan) -> Iterator[Row]:
    """Yield publishes per second with one subscriber, and their response time."""
    for publishers in PUBLISHERS:
        for contender in plan.contenders("product", "twilsock", "tutorial", "peer"):
            yield _measure(plan, contender, publishers, f"replies {PIPELINE}")
    for publishers in HTTP_PUBLISHERS:
        for contender in _spoken_to_over_http(plan):
            yield _over_http(plan, contender, publishers)
        for contender in plan.contenders("product"):
            yield _empty(plan, contender, publishers)
    for publishers in HTTP_PUBLISHERS[1:]:
        for contender in _spoken_to_over_http(plan):
            yield _beside_listeners(plan, contender, publishers)


def _spoken_to_over_http(plan: Plan) -> Iterator[Contender]:
    contenders = plan.contenders("product", "peer")
    return (contender for contender in contenders if contender.http is not None)


def _over_http(plan: Plan, contender: Contender, publishers: int) -> Row:
    row = _measure(plan, contender, publishers, "replies 1", contender.http)
    row.case = f"REST, {_publishers(publishers)}"
    return row


def _empty(plan: Plan, contender: Contender, publishers: int) -> Row:
    row = _measure(plan, contender, publishers, "replies 1", dialects.empty)
    row.case = f"REST, {_publishers(publishers)}"
    row.contender = f"empty-view-{contender.name.partition('-')[2]}"
    return row


def _beside_listeners(plan: Plan, contender: Contender, publishers: int) -> Row:
    load = Load(subscribers=LISTENERS, publishers=publishers)
    (runs,) = plan.repeat(contender, load, f"rate {FULL_RATE}", dialect=contender.http)
    case = f"REST, {_publishers(publishers)} beside {LISTENERS} subscribers at 30/s"
    return of_publishes(runs, scenario="publish", case=case, contender=contender.name)


def _measure(
    plan: Plan,
    contender: Contender,
    publishers: int,
    order: str,
    dialect: MakeDialect | None = None,
) -> Row:
    subscribers = 0 if dialect is dialects.empty else 1
    load = Load(subscribers=subscribers, publishers=publishers)
    (runs,) = plan.repeat(contender, load, order, dialect=dialect)
    case = f"socket, {_publishers(publishers)}"
    return of_publishes(runs, scenario="publish", case=case, contender=contender.name)


def _publishers(count: int) -> str:
    return f"{count} publisher" + ("s" if count > 1 else "")
