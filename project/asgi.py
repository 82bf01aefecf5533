"""ASGI application of the demo site: HTTP and WebSockets.

https://channels.readthedocs.io/en/stable/deploying.html
"""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
http_application = get_asgi_application()

from sync_streams.asgi import PublishEndpoint, lifespan  # noqa: E402 (needs the apps)
from sync_streams.concurrency import BoundedRequests  # noqa: E402
from sync_streams.routing import elsewhere, websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": PublishEndpoint(BoundedRequests(http_application)),
        "lifespan": lifespan,
        "websocket": URLRouter([*websocket_urlpatterns, elsewhere]),
    }
)
