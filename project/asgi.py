"""ASGI application of the demo site: HTTP and WebSockets.

https://channels.readthedocs.io/en/stable/deploying.html
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
http_application = get_asgi_application()

from sync_streams.routing import websocket_urlpatterns  # noqa: E402 (needs the apps)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def not_found(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Refuse a WebSocket at an unknown path; the router would raise ValueError."""
    await receive()
    await send({"type": "websocket.close"})


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": URLRouter([*websocket_urlpatterns, re_path("", not_found)]),
    }
)
