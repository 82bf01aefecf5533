"""Servers behind the channel layer: which one a group is on, and how to reconnect.

channels-redis spreads groups over the Redis servers that it is given, and each of them
can fail, or hang, alone: https://github.com/django/channels_redis#hosts. To any other
layer this module says that it is one server, which looks after itself.
"""

from typing import Any

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer


def count_servers(layer: Any) -> int:
    """Return how many servers the groups are spread over."""
    if isinstance(layer, RedisPubSubChannelLayer):
        return len(layer._shards)
    return int(layer.ring_size) if isinstance(layer, RedisChannelLayer) else 1


def server_of(layer: Any, group: str) -> int:
    """Return the number of the server that a group is on, from 0."""
    if isinstance(layer, RedisPubSubChannelLayer):
        shard = layer._get_shard(layer._get_group_channel_name(group))
        return int(layer._shards.index(shard))
    if isinstance(layer, RedisChannelLayer):
        return int(layer.consistent_hash(group))
    return 0


async def reconnect(layer: Any, server: int) -> None:
    """Break the connections by which this process listens, so that it opens new ones.

    A server that hangs keeps them open for ever, even while Sentinels have named
    another one. What was subscribed to comes back with the connection.
    """
    if isinstance(layer, RedisPubSubChannelLayer):
        listening = layer._shards[server]._pubsub
        if listening is not None and listening.connection is not None:
            await listening.connection.disconnect(nowait=True)
    elif isinstance(layer, RedisChannelLayer):
        await layer.connection(server).connection_pool.disconnect()
