"""WebSocket routes: put ``websocket_urlpatterns`` into the project's ``URLRouter``.

Do not wrap them in session or origin middleware: the access token in the first frame
identifies the client, and clients other than browsers send no origin.
"""

from typing import Any, cast

from django.urls import path

from .twilsock.consumers import TwilsockConsumer
from .websocket.consumers import JsonConsumer

websocket_urlpatterns = [
    # Django's type stubs allow only views; Channels' URLRouter takes ASGI applications.
    path("v1/websocket", cast("Any", JsonConsumer.as_asgi())),
    path("v3/wsconnect", cast("Any", TwilsockConsumer.as_asgi())),
]
