"""The hub of a test's event loop, on each channel layer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from channels.layers import get_channel_layer

from sync_streams.delivery.cluster.broadcast import abroadcast
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.operations.data import Message
from tests.delivery.client import published
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
    """Wait until a new process has asked for its peers, and has their answers."""
    await until(lambda: len(hub.tasks) == 2)


async def publish(stream_sid: str, number: int, origin: str | None = None) -> None:
    message = Message.new(stream_sid, {"n": number})
    await abroadcast(published(message, origin))
