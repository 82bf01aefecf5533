"""WebSocket routes: put ``websocket_urlpatterns`` into the project's ``URLRouter``.

Do not wrap them in session or origin middleware: the access token in the first frame
identifies the client, and clients other than browsers send no origin.
"""

from typing import Any, cast

from django.urls import path, re_path

from .twilsock.consumers import TwilsockConsumer
from .websocket.consumers import JsonConsumer

websocket_urlpatterns = [
    # Django's type stubs allow only views; Channels' URLRouter takes ASGI applications.
    path("v1/websocket", cast("Any", JsonConsumer.as_asgi())),
    path("v3/wsconnect", cast("Any", TwilsockConsumer.as_asgi())),
]


async def _reject(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


elsewhere = re_path("", cast("Any", _reject))
"""Rejects a handshake on any other path with 403; put it after all routes.

Without it, ``URLRouter`` raises ``ValueError``, so that anybody can fill the log with
tracebacks.
"""
