"""Publishes a second: over a socket, over REST, and to an empty view for comparison."""

from collections.abc import Iterator

from bench import dialects
from bench.contenders import Contender
from bench.generator import Load
from bench.plan import MakeDialect, Plan
from bench.rows import Row, of_publishes

PUBLISHERS = (1, 8)
PIPELINE = 32
"""Publishes that one socket has on their way."""


def run(plan: Plan) -> Iterator[Row]:
    """Yield publishes a second with one subscriber, and their time to the answer."""
    for publishers in PUBLISHERS:
        for contender in plan.contenders("product", "twilsock", "tutorial", "peer"):
            yield _measure(plan, contender, publishers, f"replies {PIPELINE}")
    for publishers in PUBLISHERS:
        for contender in plan.contenders("product"):
            yield _rest(plan, contender, publishers)
            yield _empty(plan, contender, publishers)


def _rest(plan: Plan, contender: Contender, publishers: int) -> Row:
    row = _measure(plan, contender, publishers, "replies 1", dialects.rest)
    row.case = f"REST, {_publishers(publishers)}"
    return row


def _empty(plan: Plan, contender: Contender, publishers: int) -> Row:
    row = _measure(plan, contender, publishers, "replies 1", dialects.empty)
    row.case = f"REST, {_publishers(publishers)}"
    row.contender = f"empty-view-{contender.name.partition('-')[2]}"
    return row


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
