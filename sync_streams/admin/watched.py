"""The Streams that the live monitor of a Service shows, at most 500."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from sync_streams import operations
from sync_streams.delivery.cluster import stats
from sync_streams.models import Service, Stream, StreamQuerySet
from sync_streams.operations.validators import is_storable

MAX_STREAMS = 500
"""Maximum number of Streams that a page watches."""

MAX_NAME_LENGTH = 320

ORDERS = {
    "newest": _("the newest streams"),
    "busiest": _("the streams with the most subscribers"),
}
"""Which Streams come first, and so are shown if there are over :data:`MAX_STREAMS`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The Streams that a page shows."""

    streams: list[Stream]
    total: int
    """The number of Streams, including those that are not shown."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The selection in the page's URL; invalid values are ignored."""

    order: str = "newest"
    named: str = ""
    """Start of the unique names."""

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Read a request's query."""
        order = request.GET.get("order", "")
        named = request.GET.get("named", "")[:MAX_NAME_LENGTH]
        return cls(
            order if order in ORDERS else "newest", named if is_storable(named) else ""
        )

    def streams(self, resource: Service | Stream) -> Watched:
        """Return the live Streams to show."""
        if isinstance(resource, Stream):
            return Watched([resource], 1)
        streams = operations.list_streams(resource)
        if self.named:
            streams = streams.filter(unique_name__startswith=self.named)
        total = streams.count()
        if self.order == "busiest":
            return Watched(_busiest(streams), total)
        return Watched(list(streams.order_by("-date_created")[:MAX_STREAMS]), total)


def _busiest(streams: StreamQuerySet) -> list[Stream]:
    counts = stats.ask().subscribers
    occupied = streams.filter(sid__in=counts)
    return sorted(occupied, key=lambda stream: -counts[stream.sid])[:MAX_STREAMS]
