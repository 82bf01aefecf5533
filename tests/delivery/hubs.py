"""The hub of a test's event loop, on each channel layer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from channels.layers import get_channel_layer
from django.test import override_settings

from sync_streams.delivery.cluster.broadcast import abroadcast
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.operations.data import Message
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import Client, published
from tests.waiting import until

MEMORY_LAYERS = {
    "memory": "sync_streams.layers.InMemoryChannelLayer",
    "channels": "channels.layers.InMemoryChannelLayer",
}
REDIS_LAYERS = {
    "redis": "sync_streams.layers.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}


@asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    """Start the hub of the running loop; stop it afterwards."""
    hub = get_hub()
    await hub.start()
    try:
        yield hub
    finally:
        await stop(hub)


@asynccontextmanager
async def hub_over(layer: Mapping[str, Any]) -> AsyncIterator[Hub]:
    """Do as :func:`running_hub` does, over a channel layer that has these settings."""
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        async with running_hub() as hub:
            yield hub


async def stop(hub: Hub) -> None:
    """End the hub's tasks and the layer's connections."""
    tasks = [
        task
        for task in (hub._receiver, *hub.tasks, *hub.subscriptions.tasks)
        if task is not None
    ]
    async with asyncio.timeout(30):
        while tasks:
            for task in tasks:
                task.cancel()
            # The core layer swallows a cancellation now and then.
            _, left = await asyncio.wait(tasks, timeout=0.1)
            tasks = list(left)
    current = get_channel_layer()
    for name in ("flush", "close_pools"):
        if hasattr(current, name):
            await getattr(current, name)()


async def until_introduced(hub: Hub) -> None:
    """Wait until a new process has asked for its peers and has their replies."""
    await until(lambda: len(hub.tasks) == 2)


async def publish(stream_sid: str, number: int, origin: str | None = None) -> None:
    message = Message.new(stream_sid, {"n": number})
    await abroadcast(published(message, origin))


async def subscribed(hub: Hub, **options: Any) -> tuple[str, Client]:
    """Subscribe a client with these options to a Stream, and return both."""
    stream_sid, client = new_stream_sid(), Client(**options)
    await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
    return stream_sid, client


class Publisher:
    """Publishes numbers continuously until it is stopped."""

    def __init__(self, stream_sid: str) -> None:
        self.stream_sid = stream_sid
        self.begun = 0
        self.is_done = False

    async def run(self) -> None:
        while not self.is_done:
            self.begun += 1
            await publish(self.stream_sid, self.begun)
            await asyncio.sleep(0)
