"""ASGI application of the host project."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.hosts.settings")
http_application = get_asgi_application()

from sync_streams.routing import websocket_urlpatterns  # noqa: E402 (needs the apps)

application = ProtocolTypeRouter(
    {"http": http_application, "websocket": URLRouter(websocket_urlpatterns)}
)
