"""Server-Sent Events: how many subscribers one core holds at a Stream's full rate.

As ``rest`` with one Stream, for what serves Server-Sent Events.
"""

from collections.abc import Iterator

from bench.plan import Plan
from bench.rows import Row

from .headline import measure, of_streams
from .rest import PUBLISHERS

OF_OTHER_GROUPS = {"eventstream-uvicorn"}


def run(plan: Plan) -> Iterator[Row]:
    """Yield the largest N for each contender."""
    for contender in plan.contenders("sse", "peer"):
        if contender.group == "sse" or contender.name in OF_OTHER_GROUPS:
            row = measure(plan, contender, 1, PUBLISHERS[1], contender.dialect)
            row.scenario, row.case = "sse", of_streams(1)
            yield row
