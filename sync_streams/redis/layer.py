"""The channel layer on Redis pub/sub, for processes with one channel for everything.

Names, serialisation and the choice of a server match channels-redis' pub/sub layer, so
processes that use either layer can communicate:
https://github.com/django/channels_redis#redispubsubchannellayer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

from channels.layers import BaseChannelLayer
from channels_redis.serializers import registry
from channels_redis.utils import _consistent_hash, decode_hosts

from sync_streams.processes.per_loop import PerLoop
from sync_streams.values.sids import name_digits
from sync_streams.values.throttle import Throttle

from .cluster import Cluster
from .endpoint import opener
from .health import RedisUnavailable
from .protocol import check_available
from .server import Rate, Server, Shard, Tell
from .subscription import Listener

logger = logging.getLogger(__name__)

CAPACITY = 10_000
"""Events that can wait on one channel; further ones are dropped."""

COMPLAIN_SECONDS = 60
"""Minimum time between log lines about events that cannot be delivered."""

Put: TypeAlias = Callable[[Any], None]
Reject: TypeAlias = Callable[[Exception], None]
Interrupted: TypeAlias = Callable[[int, float], None]


class RedisChannelLayer(BaseChannelLayer):
    """A channel layer on one or several Redis servers, Sentinels, or a cluster.

    Takes the options of ``channels_redis.pubsub.RedisPubSubChannelLayer``. An entry of
    ``hosts`` can have ``"cluster": [("host", 6379), …]`` instead of an address.
    """

    extensions = ["groups", "flush"]  # noqa: RUF012 - as Channels documents it

    def __init__(
        self,
        hosts: Sequence[Any] | None = None,
        prefix: str = "asgi",
        on_disconnect: Callable[[], object] | None = None,
        on_reconnect: Callable[[], object] | None = None,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        serializer_format: str = "msgpack",
    ) -> None:
        """Take the options; each event loop has its own connections."""
        check_available()
        super().__init__(capacity=CAPACITY)
        self.prefix = prefix
        self.on_disconnect, self.on_reconnect = on_disconnect, on_reconnect
        self.hosts: list[Mapping[str, Any]] = decode_hosts(hosts)
        self._serializer = registry.get_serializer(
            serializer_format, symmetric_encryption_keys=symmetric_encryption_keys
        )
        self.serialize: Callable[[Any], bytes] = self._serializer.serialize
        self.deserialize: Callable[[bytes], Any] = self._serializer.deserialize
        self._by_loop = PerLoop(lambda: _LoopLayer(self), _LoopLayer.close)

    @property
    def servers(self) -> int:
        """Number of servers that the groups are distributed over; a cluster is one."""
        return len(self.hosts)

    def server_of(self, group: str) -> int:
        """Return the index of the server that a group is on, from 0."""
        return self.number_of(self._group_name(group))

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel in this process."""
        channel = f"{self.prefix}{prefix}{uuid4().hex}"
        await self._here.open(channel)
        return channel

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Send to a channel of any process.

        Raises:
            RedisUnavailable: with the reason.
        """
        shard = self._here.shards[self.number_of(channel)]
        await shard.publish(channel.encode(), self.serialize(message))

    async def receive(self, channel: str) -> Any:
        """Return a channel's next message; cancelling this closes the channel.

        Raises:
            RedisUnavailable: the channel was not open and could not be opened.
        """
        here = self._here
        if channel not in here.sinks:
            await here.open(channel)
        try:
            return await here.queue(channel).get()
        except BaseException:
            here.close_channel(channel)
            raise

    async def listen(
        self, channel: str, put: Put, reject: Reject | None = None
    ) -> NoReturn:
        """Pass on each message of a channel as it is read, until cancelled.

        Args:
            channel: a channel of this process.
            put: called with each message; it must not block.
            reject: called with the reason if a message cannot be read.
        """
        here = self._here
        waiting = here.queue(channel)
        while not waiting.empty():
            put(waiting.get_nowait())
        here.sinks[channel] = put, reject or here.complain
        try:
            while True:
                await asyncio.get_running_loop().create_future()
        finally:
            # Its groups remain, for the next listener.
            here.open_queue(channel)

    def close_channel(self, channel: str) -> None:
        """Forget a channel of this process that has left its groups."""
        self._here.close_channel(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of this process to a group; effective when this returns.

        Raises:
            RedisUnavailable: it could not be added; with the reason.
        """
        here = self._here
        if channel not in here.sinks:
            raise RuntimeError("group_add() takes channels of its own process only.")
        await here.join(self._group_name(group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel of this process from a group."""
        self._here.leave(self._group_name(group), channel)

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send to a group.

        Raises:
            RedisUnavailable: with the reason.
        """
        name, shard = self._shard_of(group)
        await shard.publish(name, self.serialize(message))

    async def group_send_in_rate(
        self, group: str, message: Mapping[str, Any], rate: Rate
    ) -> float:
        """Send to a group if the rate limit allows it, in one atomic step.

        Args:
            group: the group.
            message: what to send.
            rate: the key it is counted under, Messages per window, and the window
                in microseconds. On a cluster, the key's hash tag is the last 16
                characters of the part of the group's name after its last full stop.

        Returns:
            0 if it was sent, or else the seconds to wait.

        Raises:
            RedisUnavailable: with the reason. If there was no reply, the message
                may still have been sent.
        """
        name, shard = self._shard_of(group)
        payload = self.serialize(message)
        return await shard.publish_in_rate(name, payload, rate)

    def can_start(self, group: str) -> bool:
        """Return whether :meth:`start_in_rate` can send to a group now."""
        return self._shard_of(group)[1].ready is not None

    def start_in_rate(
        self, group: str, message: Mapping[str, Any], rate: Rate, tell: Tell
    ) -> None:
        """Do what :meth:`group_send_in_rate` does without waiting for it.

        If :meth:`can_start` forbids it, that fails.

        Args:
            group: the group.
            message: what to send.
            rate: as above.
            tell: called once, where the reply is read, with what is returned above and
                ``None``, or with 0 and RedisUnavailable; it must not block.
        """
        name, shard = self._shard_of(group)
        if (server := shard.ready) is None:
            tell(0, RedisUnavailable("not connected", is_undone=True))
        else:
            server.start_in_rate(name, self.serialize(message), rate, tell)

    async def flush(self) -> None:
        """Close everything that belongs to the running loop; the layer stays usable."""
        here = self._by_loop.peek()
        if here is not None:
            self._by_loop.set(_LoopLayer(self))
            await here.close()

    def on_interruption(self, callback: Interrupted) -> Callable[[], None]:
        """Register a callback for when the running loop may have missed something.

        Args:
            callback: called with the index of the server and the time of the
                interruption, by the loop's clock.

        Returns:
            A function that removes the callback.
        """
        callbacks = self._here.interruption_callbacks
        callbacks.add(callback)
        return partial(callbacks.discard, callback)

    async def reconnect(self, server: int) -> None:
        """Replace the running loop's connections to a server."""
        self._here.shards[server].reconnect()

    @property
    def _here(self) -> "_LoopLayer":
        return self._by_loop.get()

    def number_of(self, name: str) -> int:
        """Return the index of the server that a name in Redis is on."""
        return int(_consistent_hash(name, len(self.hosts)))

    def _shard_of(self, group: str) -> tuple[bytes, Shard]:
        name = self._group_name(group)
        return name.encode(), self._here.shards[self.number_of(name)]

    def _group_name(self, group: str) -> str:
        name = f"{self.prefix}__group__{group}"
        if "cluster" in self.hosts[0]:
            tag = name_digits(name.rpartition(".")[2])
            name = f"{name.removesuffix(tag)}{{{tag}}}"
        return name


class _LoopLayer:
    """The layer's state for one event loop."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self._layer = layer
        self.sinks: dict[str, tuple[Put, Reject]] = {}
        """Callbacks for each local channel's messages and for unreadable ones."""
        self.interruption_callbacks: set[Interrupted] = set()
        self._queues: dict[str, asyncio.Queue[Any]] = {}
        self._routes: dict[bytes, set[str]] = {}
        self._complaints = Throttle(COMPLAIN_SECONDS)
        self._undelivered = 0
        self._interrupted: set[int] = set()
        self.shards = [self._shard(n, host) for n, host in enumerate(layer.hosts)]

    def _shard(self, number: int, host: Mapping[str, Any]) -> Shard:
        listener = Listener(
            deliver=self._deliver,
            interrupted=partial(self._interrupt, number),
            restored=partial(self._note_restored, number),
        )
        if "cluster" in host:
            return Cluster(host, listener)
        return Server(opener(host), listener)

    async def open(self, channel: str) -> None:
        """Open a channel of this process, with a queue for its messages."""
        self.open_queue(channel)
        try:
            await self.join(channel, channel)
        except BaseException:
            self.close_channel(channel)
            raise

    def open_queue(self, channel: str) -> asyncio.Queue[Any]:
        """Put a channel's messages in a bounded queue."""
        queue = self._queues[channel] = asyncio.Queue(CAPACITY)
        self.sinks[channel] = queue.put_nowait, self.complain
        return queue

    def queue(self, channel: str) -> asyncio.Queue[Any]:
        """Return the queue of a channel's messages."""
        return self._queues.get(channel) or self.open_queue(channel)

    def close_channel(self, channel: str) -> None:
        """Forget a channel."""
        self.sinks.pop(channel, None)
        self._queues.pop(channel, None)
        self.leave(channel, channel)

    async def join(self, name: str, channel: str) -> None:
        """Deliver what is published under a name to a channel."""
        members = self._routes.setdefault(name.encode(), set())
        is_new = channel not in members
        members.add(channel)
        try:
            await self._shard_of(name).subscribe(name.encode())
        except BaseException:
            if is_new:
                self.leave(name, channel)
            raise

    def leave(self, name: str, channel: str) -> None:
        """Stop delivering what is published under a name to a channel."""
        members = self._routes.get(name.encode(), set())
        if channel in members:
            members.discard(channel)
            if not members:
                del self._routes[name.encode()]
                self._shard_of(name).unsubscribe(name.encode())

    async def close(self) -> None:
        """Close all connections."""
        for shard in self.shards:
            await shard.close()

    def _shard_of(self, name: str) -> Shard:
        return self.shards[self._layer.number_of(name)]

    def _deliver(self, name: bytes, payload: bytes) -> None:
        for channel in self._routes.get(name, ()):
            put, reject = self.sinks.get(channel, (None, None))
            if put is None or reject is None:
                continue
            try:
                message = self._layer.deserialize(payload)
            except Exception as error:  # the type depends on what was sent
                reject(error)
                continue
            try:
                put(message)
            except Exception as error:
                self.complain(error)

    def complain(self, error: Exception) -> None:
        """Count an event that was not delivered, and log it now and then."""
        self._undelivered += 1
        if self._complaints.allows():
            text = "%d events could not be delivered, the last because of %r"
            logger.error(text, self._undelivered, error)
            self._undelivered = 0

    def _interrupt(self, server: int, since: float) -> None:
        self._interrupted.add(server)
        for callback in tuple(self.interruption_callbacks):
            callback(server, since)
        _notify(self._layer.on_disconnect)

    def _note_restored(self, server: int) -> None:
        if server in self._interrupted:
            self._interrupted.discard(server)
            _notify(self._layer.on_reconnect)


def _notify(callback: Callable[[], object] | None) -> None:
    try:
        if callback is not None:
            callback()
    except Exception:
        # It belongs to the host project, and must not end what restores the connection.
        logger.exception("a callback of the channel layer failed")
