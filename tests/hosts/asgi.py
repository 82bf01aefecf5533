"""ASGI application of the host project, as the documentation has it."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.hosts.settings")
http_application = get_asgi_application()

from sync_streams.asgi import PublishEndpoint, lifespan  # noqa: E402 (needs the apps)
from sync_streams.routing import websocket_urlpatterns  # noqa: E402 (needs the apps)

application = ProtocolTypeRouter(
    {
        "http": PublishEndpoint(http_application),
        "lifespan": lifespan,
        "websocket": URLRouter(websocket_urlpatterns),
    }
)
