"""Health views: whether this process is alive and ready for new connections.

Route them where the site's load balancer expects them::

    path("livez", health.live), path("readyz", health.ready)

They need no login and reveal no secrets. A check costs one database query, however many
connections there are.

They are asynchronous, except under gevent and eventlet: there, an event loop in the
worker's only real thread would make Django refuse database access to all greenlets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.db import connections as databases
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from .conf import get_settings
from .connections.registry import connections
from .delivery.cluster.broadcast import acheck_rate
from .delivery.cluster.event_loop import run_on_loop
from .delivery.hub import get_hub
from .errors import SyncError
from .operations.databases import run, without_transaction, writes, written_alias
from .processes import descriptors
from .processes.background import has_greenlets

View = TypeVar("View", bound=Callable[..., Any])

last_answer: dict[str, bool] = {}
"""The last result of :func:`ready`, by part, for metrics."""


def _health_view(
    in_greenlets: Callable[[HttpRequest], HttpResponse],
) -> Callable[[View], View]:
    """Exempt a view from login and transactions; *in_greenlets* replaces it there."""

    def decorate(view: View) -> View:
        chosen: Any = in_greenlets if has_greenlets() else view
        decorated: View = without_transaction(never_cache(login_not_required(chosen)))
        return decorated

    return decorate


def _live_in_greenlet(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def _ready_in_greenlet(request: HttpRequest) -> HttpResponse:
    parts = {"database": True}
    try:
        _ask_database()
        parts |= run_on_loop(_messaging())
    except DatabaseError:
        parts["database"] = False
    except SyncError:
        parts["event_loop"] = False
    return _answer(parts)


@_health_view(_live_in_greenlet)
async def live(request: HttpRequest) -> HttpResponse:
    """Answer 200: the event loop runs."""
    return JsonResponse({"status": "ok"})


@_health_view(_ready_in_greenlet)
async def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if this process can publish and deliver; 503, with reasons, if not.

    The channel layer is healthy while the hub's probes return. The publish rate is
    checked as well, because a Redis that accepts no writes still passes probes on. A
    process that rejects new connections, because it is behind or short of file
    descriptors, is not ready either. ``database_writes`` does not make it unready:
    publishing continues, and all processes share the database.
    """
    database = await _holds(run(_ask_database))
    return _answer({"database": database, **await _messaging()})


async def _messaging() -> dict[str, bool]:
    return {
        "channel_layer": await _holds(_start_hub()) and not get_hub().is_unreachable,
        "publish_rate": await _holds(_check_rate()),
        "accepting": not connections.is_draining,
        "event_loop": get_hub().lag <= get_settings().max_lag_seconds,
        "descriptors": not descriptors.are_scarce(),
    }


def _answer(parts: Mapping[str, bool]) -> HttpResponse:
    status = 200 if all(parts.values()) else 503
    parts = {**parts, "database_writes": not writes.are_refused}
    last_answer.update(parts)
    return JsonResponse(parts, status=status)


async def _holds(attempt: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await attempt
    except Exception:
        return False
    return True


async def _start_hub() -> None:
    await get_hub().start()


async def _check_rate() -> None:
    for probe in get_hub().membership.probes:
        await acheck_rate(probe.group)


def _ask_database() -> None:
    with databases[written_alias()].cursor() as cursor:
        cursor.execute("SELECT 1")
