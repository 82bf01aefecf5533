"""WebSocket routes: put ``websocket_urlpatterns`` into the project's ``URLRouter``.

Do not wrap them in session or origin middleware: the access token in the first frame
identifies the client, and clients other than browsers send no origin.

Channels strips a server's ``root_path`` from the path, but does not know Django's
``FORCE_SCRIPT_NAME``; each route therefore also exists with that prefix, as in Django's
handler.
"""

from typing import Any, cast

from django.urls import path, re_path

from .conf import django_setting
from .twilsock.consumers import TwilsockConsumer
from .values.mounts import SOCKET_PATH
from .websocket.consumers import JsonConsumer

# Django's type stubs allow only views; Channels' URLRouter takes ASGI applications.
_consumers: dict[str, Any] = {
    SOCKET_PATH: JsonConsumer.as_asgi(),
    "v3/wsconnect": TwilsockConsumer.as_asgi(),
}
_script_name = (django_setting("FORCE_SCRIPT_NAME") or "").strip("/")

websocket_urlpatterns = [
    path(f"{prefix}{route}", consumer)
    for prefix in dict.fromkeys(["", f"{_script_name}/".lstrip("/")])
    for route, consumer in _consumers.items()
]


async def _reject(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


elsewhere = re_path("", cast("Any", _reject))
"""Rejects a handshake on any other path with 403; put it after all routes. Without it,
``URLRouter`` raises ``ValueError``, and anyone could fill the log with tracebacks.
"""
