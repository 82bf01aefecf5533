"""ASGI application of the test site."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
http_application = get_asgi_application()

from sync_streams.routing import elsewhere, websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": URLRouter([*websocket_urlpatterns, elsewhere]),
    }
)
