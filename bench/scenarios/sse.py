"""Server-Sent Events: how many subscribers one core holds at a Stream's full rate.

As the headline, with 8 HTTP publishers, for what serves Server-Sent Events.
"""

from collections.abc import Iterator

from bench.plan import Plan
from bench.rows import Row

from .headline import measure

OF_OTHER_GROUPS = {"eventstream-uvicorn"}


def run(plan: Plan) -> Iterator[Row]:
    """Yield the largest N for each contender."""
    for contender in plan.contenders("sse", "peer"):
        if contender.group == "sse" or contender.name in OF_OTHER_GROUPS:
            row = measure(plan, contender, 1, contender.dialect)
            row.scenario, row.case = "sse", "1 Stream"
            yield row
