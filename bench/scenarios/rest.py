"""The headline with Messages published over HTTP: how many subscribers one core holds.

One Stream gets its 30 Messages a second from 8 connections, 100 Streams from 64, each
sending one request after the other. Subscribers are on WebSockets.
"""

from collections.abc import Iterator

from bench.plan import Plan
from bench.rows import Row

from .headline import measure, of_streams

PUBLISHERS = {1: 8, 100: 64}
"""Publishing connections, by number of Streams."""


def run(plan: Plan) -> Iterator[Row]:
    """Yield the largest N for each contender that takes Messages over HTTP."""
    for streams, publishers in PUBLISHERS.items():
        for contender in plan.contenders("product", "peer"):
            if contender.http is not None:
                row = measure(plan, contender, streams, publishers, contender.http)
                row.scenario, row.case = "rest", f"{of_streams(streams)}, over REST"
                yield row
