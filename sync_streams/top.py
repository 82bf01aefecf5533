"""The busiest Streams across all processes, with their accounts and Services.

For your own page or script; ``manage.py sync_top`` shows the same::

    for row in top("refused", limit=5):
        print(row.account_sid, row.unique_name, row.refused)
"""

from dataclasses import dataclass

from .delivery.cluster.activity import ORDERS, Activity, Order, abusiest
from .delivery.cluster.event_loop import run_on_loop
from .models import Stream

__all__ = ["ORDERS", "Order", "Row", "top"]


@dataclass(frozen=True, slots=True)
class Row:
    """One Stream."""

    stream_sid: str
    unique_name: str
    """Empty if the Stream has none or was removed."""

    service_sid: str
    account_sid: str
    published: float
    """Messages per second, over about the last 5 s."""

    subscribers: int
    refused: float
    """Messages per second rejected by the rate limit (54009)."""

    dropped: float
    """Messages per second dropped for slow subscribers, summed over them."""


def top(order: Order = "published", *, limit: int = 20) -> list[Row]:
    """Return the busiest Streams, the busiest first.

    Takes about half a second, because every process is queried. A process that does not
    reply within a quarter of a second is not counted.

    Args:
        order: the figure to sort by.
        limit: maximum number of Streams.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    found = run_on_loop(abusiest(order, limit))
    streams = Stream.objects.in_bulk(list(found))
    return [_row(sid, streams.get(sid), activity) for sid, activity in found.items()]


def _row(stream_sid: str, stream: Stream | None, activity: Activity) -> Row:
    return Row(
        stream_sid=stream_sid,
        unique_name=(stream.unique_name or "") if stream else "",
        service_sid=stream.service_id if stream else "",
        account_sid=stream.account_sid if stream else "",
        published=round(activity.published, 2),
        subscribers=activity.subscribers,
        refused=round(activity.refused, 2),
        dropped=round(activity.dropped, 2),
    )
