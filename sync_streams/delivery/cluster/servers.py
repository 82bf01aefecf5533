"""Servers behind the channel layer: which one a group is on, and how to reconnect.

channels-redis spreads groups over the configured Redis servers, and each of them can
fail or hang on its own: https://github.com/django/channels_redis#hosts. Any other layer
is treated as one server that manages its own connections.
"""

from collections.abc import Callable
from typing import Any

from channels_redis.core import RedisChannelLayer as CoreLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from sync_streams.layers import InMemoryChannelLayer
from sync_streams.redis.layer import RedisChannelLayer


def is_ours(layer: Any) -> bool:
    """Return whether it is one of our layers, which lose no event silently."""
    return isinstance(layer, (InMemoryChannelLayer, RedisChannelLayer))


def count_servers(layer: Any) -> int:
    """Return the number of servers over which the groups are spread."""
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


def confirms_joins(layer: Any) -> bool:
    """Return whether a process is in a group once ``group_add`` has returned.

    The pub/sub layer of channels-redis only sends the command, and Redis may execute a
    later one of another connection first. Of other layers nothing is known.
    """
    return is_ours(layer) or isinstance(layer, CoreLayer)


async def reconnect(layer: Any, server: int) -> None:
    """Break the connections on which this process receives, so that it reconnects.

    A hanging server keeps them open for ever, even after Sentinel has promoted another
    one. Subscriptions are restored with the connection.
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
    """Pass on the events of a channel until the layer fails.

    Args:
        layer: the channel layer.
        channel: the process's channel.
        put: called with each event, in order; must not wait.
        reject: called by our own layer with the reason if an event is unreadable;
            other layers raise it.
    """
    if isinstance(layer, RedisChannelLayer):
        # Straight from the socket, without a queue or another loop iteration.
        await layer.listen(channel, put, reject)
    if isinstance(layer, InMemoryChannelLayer):
        await layer.listen(channel, put)
    if isinstance(layer, CoreLayer):
        layer.brpop_timeout = _seconds_to_wait(layer)
    while True:
        put(await layer.receive(channel))


def close_channel(layer: Any, channel: str) -> None:
    """Close a channel on which this process no longer receives.

    Layers close it when their receiver is cancelled, except ours: its next listener
    would miss nothing.
    """
    if isinstance(layer, RedisChannelLayer):
        layer.close_channel(channel)


def _seconds_to_wait(layer: CoreLayer) -> float:
    """Return for how long a core layer may wait for an event at a time.

    It waits for 5 s, but redis-py 8 considers a socket broken after 5 s of silence.
    """
    seconds: float = layer.brpop_timeout
    for server in range(layer.ring_size):
        pool = layer.connection(server).connection_pool
        if timeout := pool.make_connection().socket_timeout:
            # Redis 5 accepts only whole seconds.
            seconds = min(seconds, int(timeout / 2) or timeout / 2)
    return seconds


class Reconnections:
    """Reports each new connection on which a pub/sub layer receives from a server.

    redis-py opens it and subscribes again without notifying the layer.
    """

    def __init__(self, callback: Callable[[int], None], *, server: int) -> None:
        """Report to a callback, with the index of the server."""
        self._callback, self._server = callback, server

    def note(self, connection: object) -> None:
        """Handle a new connection."""
        self._callback(self._server)


def on_interruption(layer: Any, callback: Callable[[int], None]) -> Callable[[], None]:
    """Register a callback for when events of the layer may have been missed.

    Our own layer and the pub/sub layer of channels-redis can tell. The core layer of
    channels-redis keeps events in Redis meanwhile. With any other layer, probes and the
    numbers of Messages (:mod:`.sequence`) reveal it.

    Args:
        layer: the channel layer; it is receiving.
        callback: called on the running loop with the number of the server.

    Returns:
        A function that removes the callback, to be kept until then.
    """
    watching: list[Reconnections] = []
    if isinstance(layer, RedisChannelLayer):
        return layer.on_interruption(lambda server, since: callback(server))
    if isinstance(layer, RedisPubSubChannelLayer):
        for server, shard in enumerate(layer._shards):
            watching.append(Reconnections(callback, server=server))
            # redis-py keeps weak references to these methods.
            connection = shard._pubsub.connection
            connection.register_connect_callback(watching[-1].note)
    return watching.clear
