"""Overview: the figures of all processes, now and for the last hour, on one page.

Nothing is stored: each process answers the page's script from its memory.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from sync_streams import __version__
from sync_streams.delivery.cluster import ranking, stats
from sync_streams.delivery.cluster.history import SAMPLE_SECONDS
from sync_streams.models import Service, Stream

from .base import MAY_VIEW_STREAMS, ResourceAdmin

BUSIEST = 10
"""Maximum number of entries in each list of the page."""

MAX_STREAMS = 1000
"""Maximum number of Streams to add up by Service."""


Rows = dict[str, dict[str, Any]]
"""Figures by SID, busiest first."""


def show_overview(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    """Show the page, which fetches its own figures."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Overview"),
        "opts": model_admin.opts,
        "version": __version__,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/overview.html", context)


def give_overview(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    """Return the figures; Streams and Services only to users who may view them."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    told, ranked = stats.ask(with_history=True), ranking.ask(BUSIEST)
    subscribed = _add_by_service(told)
    may_view_streams = request.user.has_perm(MAY_VIEW_STREAMS)
    links = Links(model_admin.admin_site.name, may_view_streams=may_view_streams)
    return JsonResponse(
        {
            "totals": {name: told.total(name) for name in ("connections", "dropped")},
            "history": told.last_hour,
            "sample_seconds": SAMPLE_SECONDS,
            "processes": _describe_processes(told),
            "busy_streams": links.to_streams(_rates(ranked["streams"])),
            "busy_services": links.to_services(_rates(ranked["services"])),
            "streams": links.to_streams(_counts(told.subscribers)),
            "services": links.to_services(_counts(subscribed)),
            "is_layer_reachable": told.is_layer_reachable,
        }
    )


def _describe_processes(told: stats.Stats) -> dict[str, int]:
    figures = told.processes.values()
    return {
        "answered": len(figures),
        "unreachable": sum(bool(each["unreachable"]) for each in figures),
        "draining": sum(bool(each["leaving"]) for each in figures),
        "versions": len(set(told.versions.values())),
    }


def _rates(ranked: Iterable[ranking.Ranked]) -> Rows:
    return {
        one.sid: {"rate": one.rate, "last_hour": one.last_hour}
        for one in ranked
        if one.rate
    }


def _counts(counts: Mapping[str, int]) -> Rows:
    most = Counter(counts).most_common(BUSIEST)
    return {sid: {"subscribers": count} for sid, count in most if count}


def _add_by_service(told: stats.Stats) -> dict[str, int]:
    counts = dict(Counter(told.subscribers).most_common(MAX_STREAMS))
    owners = Stream.objects.filter(sid__in=counts).values_list("sid", "service_id")
    sums: Counter[str] = Counter()
    for sid, service_sid in owners:
        sums[service_sid] += counts[sid]
    return sums


@dataclass(frozen=True, slots=True)
class Links:
    """Names the Streams and Services of figures, with the URLs of their pages."""

    site: str
    may_view_streams: bool

    def to_streams(self, rows: Rows) -> list[dict[str, Any]]:
        """Return the rows of live Streams, if they may be viewed."""
        if not self.may_view_streams:
            return []
        return self._link(rows, Stream.objects.live().in_bulk(list(rows)), "stream")

    def to_services(self, rows: Rows) -> list[dict[str, Any]]:
        """Return the rows of Services."""
        return self._link(rows, Service.objects.in_bulk(list(rows)), "service")

    def _link(
        self, rows: Rows, known: Mapping[str, Any], model: str
    ) -> list[dict[str, Any]]:
        page = f"{self.site}:sync_streams_{model}_change"
        return [
            {
                **figures,
                "name": str(known[sid]),
                "url": reverse(page, args=[sid]),
            }
            for sid, figures in rows.items()
            if sid in known
        ]
