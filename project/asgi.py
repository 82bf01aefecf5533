"""ASGI application of the demo site: HTTP and WebSockets.

https://channels.readthedocs.io/en/stable/deploying.html
"""

import os
from typing import Any, cast

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
http_application = get_asgi_application()

from sync_streams.asgi import PublishEndpoint, lifespan  # noqa: E402 (needs the apps)
from sync_streams.concurrency import BoundedRequests  # noqa: E402
from sync_streams.routing import websocket_urlpatterns  # noqa: E402 (needs the apps)


class NotFound(AsyncWebsocketConsumer):
    """Rejects a WebSocket at an unknown path, where the router raises ValueError."""

    async def connect(self) -> None:
        await self.close()


# Django's types only allow views; Channels' URLRouter takes ASGI applications.
elsewhere = re_path("", cast("Any", NotFound.as_asgi()))

application = ProtocolTypeRouter(
    {
        "http": PublishEndpoint(BoundedRequests(http_application)),
        "lifespan": lifespan,
        "websocket": URLRouter(cast("Any", [*websocket_urlpatterns, elsewhere])),
    }
)
