"""Baseline: server-sent events with django-eventstream, in one process.

See https://github.com/fanout/django-eventstream.
"""

import json
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django_eventstream"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
)
application = get_asgi_application()

from django_eventstream import (  # type: ignore[import-not-found]  # noqa: E402
    send_event,  # needs the settings; installed only for the benchmark
)


def publish(request: HttpRequest, stream: str) -> HttpResponse:
    """Send the request's body to a channel."""
    send_event(f"stream-{stream}", "message", json.loads(request.body))
    return HttpResponse(status=201)


urlpatterns: list[Any] = [
    path(
        "events/<str:stream>/",
        include("django_eventstream.urls"),
        {"format-channels": ["stream-{stream}"]},
    ),
    path("publish/<str:stream>/", publish),
]
