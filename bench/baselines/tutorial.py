"""Baseline: the design of the Channels tutorial, with one layer channel per socket.

See https://channels.readthedocs.io/en/stable/tutorial/part_3.html. ``LAYER`` is the
channel layer (``memory``, ``core`` or ``pubsub``) and ``REDIS_URL`` its Redis.
"""

import os
from typing import Any, cast

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

_REDIS = {"hosts": [os.environ.get("REDIS_URL", "")]}
_LAYERS: dict[str, dict[str, Any]] = {
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "core": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": _REDIS},
    "pubsub": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": _REDIS,
    },
}

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": _LAYERS[os.environ.get("LAYER", "memory")]},
    INSTALLED_APPS=["channels"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
)
urlpatterns: list[Any] = []


class SubscribeConsumer(AsyncJsonWebsocketConsumer):
    """Joins a group when it connects, and sends the group's messages as JSON."""

    async def connect(self) -> None:
        self.group = f"stream_{self.scope['url_route']['kwargs']['stream']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def stream_message(self, event: dict[str, Any]) -> None:
        await self.send_json({"data": event["data"]})


class PublishConsumer(AsyncJsonWebsocketConsumer):
    """Sends what it receives to a group, and confirms it."""

    async def receive_json(self, content: dict[str, Any], **_: Any) -> None:
        event = {"type": "stream.message", "data": content["data"]}
        await self.channel_layer.group_send(f"stream_{content['stream']}", event)
        await self.send_json({"type": "published"})


def _route(route: str, consumer: type[AsyncJsonWebsocketConsumer]) -> Any:
    # Django's types only allow views.
    return path(route, cast("Any", consumer.as_asgi()))


_http = get_asgi_application()
application = ProtocolTypeRouter(
    {
        "http": _http,
        "websocket": URLRouter(
            [
                _route("ws/<str:stream>/", SubscribeConsumer),
                _route("publish/", PublishConsumer),
            ]
        ),
    }
)
