"""A host project with views of its own that answer with events."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.utils.html import escape

from sync_streams.sse import event_stream


def render(data: Any) -> str:
    """Return what htmx puts into a page."""
    return f"<li>\n{escape(data['text'])}</li>"


async def mine(request: HttpRequest) -> HttpResponseBase:
    return await event_stream(request, "board")


async def named(request: HttpRequest, name: str) -> HttpResponseBase:
    return await event_stream(request, "board", identity=name)


async def public(request: HttpRequest) -> HttpResponseBase:
    return await event_stream(request, ["board", "news"], is_public=True)


async def rendered(request: HttpRequest) -> HttpResponseBase:
    return await event_stream(request, "board", is_public=True, render=render)


async def missing(request: HttpRequest) -> HttpResponseBase:
    return await event_stream(request, "nowhere", is_public=True)


urlpatterns = [
    path("mine", mine),
    path("named/<str:name>", named),
    path("public", public),
    path("rendered", rendered),
    path("missing", missing),
    path("", include("sync_streams.urls")),
]
