"""Servers behind the channel layer: which one a group is on, and how to reconnect.

channels-redis spreads groups over the Redis servers that it is given, and each of them
can fail, or hang, alone: https://github.com/django/channels_redis#hosts. To any other
layer this module says that it is one server, which looks after itself.
"""

from collections.abc import Callable
from typing import Any

from channels_redis.core import RedisChannelLayer as CoreLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from sync_streams.redis.layer import RedisChannelLayer


def count_servers(layer: Any) -> int:
    """Return how many servers the groups are spread over."""
    if isinstance(layer, RedisChannelLayer):
        return layer.servers
    if isinstance(layer, RedisPubSubChannelLayer):
        return len(layer._shards)
    return int(layer.ring_size) if isinstance(layer, CoreLayer) else 1


def server_of(layer: Any, group: str) -> int:
    """Return the number of the server that a group is on, from 0."""
    if isinstance(layer, RedisChannelLayer):
        return layer.server_of(group)
    if isinstance(layer, RedisPubSubChannelLayer):
        shard = layer._get_shard(layer._get_group_channel_name(group))
        return int(layer._shards.index(shard))
    if isinstance(layer, CoreLayer):
        return int(layer.consistent_hash(group))
    return 0


async def reconnect(layer: Any, server: int) -> None:
    """Break the connections by which this process listens, so that it opens new ones.

    A server that hangs keeps them open for ever, even while Sentinels have named
    another one. What was subscribed to comes back with the connection.
    """
    if isinstance(layer, RedisChannelLayer):
        await layer.reconnect(server)
    elif isinstance(layer, RedisPubSubChannelLayer):
        listening = layer._shards[server]._pubsub
        if listening is not None and listening.connection is not None:
            await listening.connection.disconnect(nowait=True)
    elif isinstance(layer, CoreLayer):
        await layer.connection(server).connection_pool.disconnect()


async def receive(
    layer: Any,
    channel: str,
    put: Callable[[Any], None],
    reject: Callable[[Exception], None],
) -> None:
    """Hand over what arrives on a channel, until the layer fails.

    Args:
        layer: the channel layer.
        channel: the process's channel.
        put: called with each event, in order; it does not wait.
        reject: called with the reason where an event cannot be read, by our own
            layer; others raise it.
    """
    if isinstance(layer, RedisChannelLayer):
        # As it is read, without a queue and a turn of the loop in between.
        await layer.listen(channel, put, reject)
    while True:
        put(await layer.receive(channel))


def on_interruption(layer: Any, callback: Callable[[int, float], None]) -> None:
    """Have the running loop told when the layer's events may have been missed.

    Only our own layer knows; of others probes find out.

    Args:
        layer: the channel layer.
        callback: called with the number of the server, and with the moment from which
            on that is so, by the loop's clock.
    """
    if isinstance(layer, RedisChannelLayer):
        layer.on_interruption(callback)
