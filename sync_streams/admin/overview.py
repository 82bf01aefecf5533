"""Overview: what all processes do now and did in the last hour, on one page.

Nothing is stored: the page's script asks, and each process answers from its memory.
"""

from collections import Counter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from sync_streams import __version__
from sync_streams.delivery.cluster import stats
from sync_streams.delivery.cluster.history import SAMPLE_SECONDS
from sync_streams.models import Service, Stream

from .base import ResourceAdmin
from .text import visible

MAY_VIEW_STREAMS = "sync_streams.view_stream"

BUSIEST = 10
"""Streams and Services that the page names."""

MAX_STREAMS = 1000
"""Streams whose subscribers are added up for their Services."""


def show_overview(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    """Show the page, which asks for its figures by itself."""
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
    """Answer the figures; Streams and Services to those who may view them."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    told = stats.ask(with_history=True)
    site = model_admin.admin_site.name
    may_view_streams = request.user.has_perm(MAY_VIEW_STREAMS)
    return JsonResponse(
        {
            "totals": {name: told.total(name) for name in ("connections", "dropped")},
            "history": told.last_hour,
            "sample_seconds": SAMPLE_SECONDS,
            "processes": _describe_processes(told),
            "streams": _busiest_streams(told, site) if may_view_streams else [],
            "services": _busiest_services(told, site),
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


def _busiest_streams(told: stats.Stats, site: str) -> list[dict[str, Any]]:
    counts = dict(Counter(told.subscribers).most_common(BUSIEST))
    streams = Stream.objects.live().in_bulk(counts)
    return [
        {
            "name": visible(str(streams[sid])),
            "url": reverse(f"{site}:sync_streams_stream_change", args=[sid]),
            "subscribers": count,
        }
        for sid, count in counts.items()
        if sid in streams and count
    ]


def _busiest_services(told: stats.Stats, site: str) -> list[dict[str, Any]]:
    counts = dict(Counter(told.subscribers).most_common(MAX_STREAMS))
    owners = Stream.objects.filter(sid__in=counts).values_list("sid", "service_id")
    sums: Counter[str] = Counter()
    for sid, service_sid in owners:
        sums[service_sid] += counts[sid]
    busiest = dict(sums.most_common(BUSIEST))
    services = Service.objects.in_bulk(busiest)
    return [
        {
            "name": visible(str(services[sid])),
            "url": reverse(f"{site}:sync_streams_service_change", args=[sid]),
            "subscribers": count,
        }
        for sid, count in busiest.items()
        if sid in services and count
    ]
