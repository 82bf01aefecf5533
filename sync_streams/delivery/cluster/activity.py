"""Activity: the Streams that are busiest now, across all processes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Literal, get_args

from sync_streams.delivery.counters import dropped_rates, published_rates
from sync_streams.delivery.hub import Hub
from sync_streams.redis.rate_limit import refused_rates

from . import stats, survey

ASKED = "activity.asked"

MAX_STREAMS = 200
"""Streams that one process reports for each order."""

Order = Literal["published", "subscribers", "refused", "dropped"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(slots=True)
class Activity:
    """Activity on one Stream, across all processes."""

    published: float = 0
    """Messages published per second, over about the last 5 s."""

    refused: float = 0
    """Messages per second rejected by the rate limit (54009)."""

    dropped: float = 0
    """Messages per second dropped for slow subscribers, summed over them."""

    subscribers: int = 0
    """Number of subscribed connections."""


async def abusiest(order: Order, limit: int) -> dict[str, Activity]:
    """Return the busiest Streams by SID, in order.

    Takes twice :data:`.survey.GATHER_SECONDS`. A Stream that is not among the first
    :data:`MAX_STREAMS` of any process may be missing.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    found: defaultdict[str, Activity] = defaultdict(Activity)
    for answer in (await survey.aask({"type": ASKED})).values():
        for stream_sid, (published, refused, dropped, subscribers) in answer[
            "streams"
        ].items():
            one = found[stream_sid]
            one.published += published
            one.refused += refused
            one.dropped += dropped
            one.subscribers += subscribers
    first = nlargest(limit, found, key=lambda sid: getattr(found[sid], order))
    # Processes that did not report a Stream may have subscribers, too.
    subscribers = (await stats.aask(first)).subscribers if first else {}
    for stream_sid in first:
        found[stream_sid].subscribers = subscribers.get(stream_sid, 0)
    return {stream_sid: found[stream_sid] for stream_sid in first}


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Reply for this process."""
    rates = published_rates, refused_rates, dropped_rates
    tables = [each.per_second() for each in rates]
    subscribers = hub.subscriptions.busiest(MAX_STREAMS)
    named = {*subscribers}
    for table in tables:
        named |= set(nlargest(MAX_STREAMS, table, key=table.__getitem__))
    streams = {
        sid: [*(table.get(sid, 0) for table in tables), hub.subscriptions.count(sid)]
        for sid in named
    }
    await survey.reply(question, streams=streams)
