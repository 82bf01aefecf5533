"""Live monitor: a page that subscribes like any client and shows what arrives.

No Message is stored or passes through Django's views: the page opens the JSON socket
(``docs/wire-websocket.md``) with an access token that is valid for a few minutes.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from sync_streams.delivery.cluster import stats
from sync_streams.errors import ServiceUnavailable
from sync_streams.models import Service, Stream
from sync_streams.tokens import issue_token
from sync_streams.values.mounts import socket_path

from .base import MAY_MONITOR, MAY_PUBLISH, Page, ResourceAdmin, answer_errors
from .watched import ORDERS, Choice, Watched

TOKEN_SECONDS = 300
"""Lifetime of the page's access token; an open page renews it."""

MAY_ALL = (
    MAY_PUBLISH,
    *(f"sync_streams.{verb}_stream" for verb in ("add", "change", "delete")),
)
"""Permissions needed for a token that is not read-only, which allows all of this."""


def show_monitor(
    model_admin: ResourceAdmin, request: HttpRequest, resource: Service | Stream
) -> HttpResponse:
    """Show the page."""
    choice = Choice.of(request)
    watched = choice.streams(resource)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Live monitor"),
        "subtitle": str(resource),
        "opts": model_admin.opts,
        "original": resource,
        "pages": model_admin.page_urls(request, resource),
        "is_service": isinstance(resource, Service),
        "streams": [_describe(stream) for stream in watched.streams],
        "watched": _say(watched),
        "choice": choice,
        "orders": ORDERS.items(),
        "texts": _texts(),
        "socket": socket_path(),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/monitor.html", context)


@answer_errors
def give_token(
    model_admin: ResourceAdmin, request: HttpRequest, resource: Service | Stream
) -> HttpResponse:
    """Issue an observer's access token, read-only without all of the permissions."""
    service = _service(resource)
    try:
        token = issue_token(
            f"admin:{request.user.get_username()}",
            service.sid,
            account_sid=service.account_sid,
            ttl=TOKEN_SECONDS,
            is_read_only=not request.user.has_perms(MAY_ALL),
            is_observer=True,
        )
    except ImproperlyConfigured as error:
        raise ServiceUnavailable(str(error)) from error
    return JsonResponse({"token": token})


def give_figures(
    model_admin: ResourceAdmin, request: HttpRequest, resource: Service | Stream
) -> HttpResponse:
    """Return the live Streams and the current number of subscribers of each."""
    watched = Choice.of(request).streams(resource)
    told = stats.ask([stream.sid for stream in watched.streams])
    rows = [{**_describe(stream), **_count(stream, told)} for stream in watched.streams]
    figures = {
        "total": watched.total,
        "dropped": told.dropped,
        "processes": len(told.processes),
    }
    return JsonResponse({"streams": rows, **figures})


PAGES = (
    Page("monitor", show_monitor, MAY_MONITOR),
    Page("token", give_token, MAY_MONITOR, methods=("POST",)),
    Page("figures", give_figures, MAY_MONITOR),
)


def _service(resource: Service | Stream) -> Service:
    return resource if isinstance(resource, Service) else resource.service


def _say(watched: Watched) -> str:
    counts = {"shown": f"{len(watched.streams):,}", "total": f"{watched.total:,}"}
    return _watched_text().format(**counts)


def _watched_text() -> str:
    # The page's script inserts new numbers.
    return _("Watching {shown} of {total} streams")


def _describe(stream: Stream) -> dict[str, str]:
    return {"sid": stream.sid, "name": str(stream)}


def _count(stream: Stream, told: stats.Stats) -> dict[str, int]:
    return {
        "subscribers": told.subscribers.get(stream.sid, 0),
        "refused": told.refused.get(stream.sid, 0),
    }


def _texts() -> dict[str, Any]:
    return {
        "connecting": _("Connecting"),
        "connected": _("Connected"),
        "reconnecting": _("Reconnecting"),
        "closed": _("Disconnected"),
        "pause": _("Pause"),
        "resume": _("Resume"),
        "copy": _("Copy JSON"),
        "copied": _("Copied"),
        "removed": _("The stream was removed"),
        "gap": _("Messages lost here because this page read too slowly"),
        "interrupted": _("Connection interrupted: messages may be missing here"),
        "empty": _("Waiting for messages …"),
        "unmatched": _("No message on screen matches the filter"),
        "halted": _("Paused: messages are counted but not shown"),
        "unreadable": _("This path is not valid. Example: $.player.name"),
        "pin": _("Pin"),
        "unpin": _("Unpin"),
        "replay": _("Publish again …"),
        "session": _("Your session has ended"),
        "watched": _watched_text(),
        "reasons": {"disconnected": _("by an operator")},
    }
