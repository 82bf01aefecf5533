"""The channel layer on Redis' pub/sub, for processes with one channel for everything.

Names, serialisation and the choice of a server are those of channels-redis' pub/sub
layer, so processes with the one and with the other hear one another:
https://github.com/django/channels_redis#redispubsubchannellayer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

from channels.layers import BaseChannelLayer
from channels_redis.serializers import registry
from channels_redis.utils import _consistent_hash, decode_hosts

from sync_streams.per_loop import PerLoop
from sync_streams.sids import name_digits

from .cluster import Cluster
from .endpoint import opener
from .protocol import check_available
from .server import Rate, Server, Shard
from .subscription import Listener

logger = logging.getLogger(__name__)

CAPACITY = 10_000
"""Events that wait on one channel to be received; further ones are dropped."""

COMPLAIN_SECONDS = 60
"""Time between two complaints about events that cannot be delivered."""

Put: TypeAlias = Callable[[Any], None]
Reject: TypeAlias = Callable[[Exception], None]
Interrupted: TypeAlias = Callable[[int, float], None]


class RedisChannelLayer(BaseChannelLayer):
    """A channel layer on one Redis, several, one behind Sentinels, or a cluster.

    Options are those of ``channels_redis.pubsub.RedisPubSubChannelLayer``. An entry of
    ``hosts`` may have ``"cluster": [("host", 6379), …]`` instead of an address.
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
        """Take the options; connections belong to the event loops that use them."""
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
        """How many servers the groups are spread over; a cluster is one."""
        return len(self.hosts)

    def server_of(self, group: str) -> int:
        """Return the number of the server that a group is on, from 0."""
        return self.number_of(self._group_name(group))

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel of this process."""
        channel = f"{self.prefix}{prefix}{uuid4().hex}"
        await self._here.open(channel)
        return channel

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Send to a channel, of whatever process.

        Raises:
            RedisUnavailable: with the reason.
        """
        shard = self._here.shards[self.number_of(channel)]
        await shard.publish(channel.encode(), self.serialize(message))

    async def receive(self, channel: str) -> Any:
        """Return the next message of a channel, which is closed if this is cancelled.

        Raises:
            RedisUnavailable: the channel was not known, and could not be opened.
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
        """Hand each message of a channel over as it is read, for ever.

        Args:
            channel: a channel of this process.
            put: called with each message; it does not wait.
            reject: called with the reason where one cannot be read.
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
            # Its groups remain, for whoever listens next.
            here.open_queue(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Let a channel of this process hear a group, from before this returns.

        Raises:
            RedisUnavailable: it does not, with the reason.
        """
        here = self._here
        if channel not in here.sinks:
            raise RuntimeError("group_add() takes channels of its own process only.")
        await here.join(self._group_name(group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Let a channel of this process hear a group no more."""
        self._here.leave(self._group_name(group), channel)

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send to a group.

        Raises:
            RedisUnavailable: with the reason.
        """
        name = self._group_name(group)
        shard = self._here.shards[self.number_of(name)]
        await shard.publish(name.encode(), self.serialize(message))

    async def group_send_in_rate(
        self, group: str, message: Mapping[str, Any], rate: Rate
    ) -> float:
        """Send to a group if its rate allows that: both or nothing.

        Args:
            group: the group.
            message: what to send.
            rate: the key that it is counted under, Messages in a window, and that
                window in microseconds. On a cluster the key has a hash tag: the
                last 16 characters of what follows the last full stop of the group's
                name.

        Returns:
            0 if it was sent, or else the seconds to wait.

        Raises:
            RedisUnavailable: with the reason. If it is that no answer came, it may
                have been sent all the same.
        """
        name = self._group_name(group)
        shard = self._here.shards[self.number_of(name)]
        payload = self.serialize(message)
        return await shard.publish_in_rate(name.encode(), payload, rate) / 1_000_000

    async def flush(self) -> None:
        """Close everything of the running loop's; it can be used as if it were new."""
        here = self._by_loop.peek()
        if here is not None:
            self._by_loop.set(_LoopLayer(self))
            await here.close()

    def on_interruption(self, callback: Interrupted) -> None:
        """Have the running loop told when it may have missed something.

        Args:
            callback: called with the number of the server, and with the moment from
                which on that is so, by the loop's clock.
        """
        self._here.interruption_callbacks.append(callback)

    async def reconnect(self, server: int) -> None:
        """Replace the running loop's connections to a server."""
        self._here.shards[server].reconnect()

    @property
    def _here(self) -> "_LoopLayer":
        return self._by_loop.get()

    def number_of(self, name: str) -> int:
        """Return the number of the server that a name in Redis is on."""
        return int(_consistent_hash(name, len(self.hosts)))

    def _group_name(self, group: str) -> str:
        name = f"{self.prefix}__group__{group}"
        if "cluster" in self.hosts[0]:
            tag = name_digits(name.rpartition(".")[2])
            name = f"{name.removesuffix(tag)}{{{tag}}}"
        return name


class _LoopLayer:
    """What the layer keeps for one event loop."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self._layer = layer
        self.sinks: dict[str, tuple[Put, Reject]] = {}
        """What takes each local channel's messages, and what cannot be read."""
        self.interruption_callbacks: list[Interrupted] = []
        self._queues: dict[str, asyncio.Queue[Any]] = {}
        self._routes: dict[bytes, set[str]] = {}
        self._complained_at = -float(COMPLAIN_SECONDS)
        self._undelivered = 0
        self._is_interrupted = False
        self.shards = [self._shard(n, host) for n, host in enumerate(layer.hosts)]

    def _shard(self, number: int, host: Mapping[str, Any]) -> Shard:
        listener = Listener(
            deliver=self._deliver,
            interrupted=partial(self._interrupt, number),
            restored=self._note_restored,
        )
        if "cluster" in host:
            return Cluster(host, listener)
        return Server(opener(host), listener)

    async def open(self, channel: str) -> None:
        """Open a channel of this process; its messages wait to be received."""
        self.open_queue(channel)
        try:
            await self.join(channel, channel)
        except BaseException:
            self.close_channel(channel)
            raise

    def open_queue(self, channel: str) -> asyncio.Queue[Any]:
        """Let a channel's messages wait, in a queue with a bound."""
        queue = self._queues[channel] = asyncio.Queue(CAPACITY)
        self.sinks[channel] = queue.put_nowait, self.complain
        return queue

    def queue(self, channel: str) -> asyncio.Queue[Any]:
        """Return the queue in which a channel's messages wait."""
        return self._queues.get(channel) or self.open_queue(channel)

    def close_channel(self, channel: str) -> None:
        """Forget a channel."""
        self.sinks.pop(channel, None)
        self._queues.pop(channel, None)
        self.leave(channel, channel)

    async def join(self, name: str, channel: str) -> None:
        """Have what is published under a name delivered to a channel."""
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
        """Deliver to a channel no more what is published under a name."""
        members = self._routes.get(name.encode(), set())
        if channel in members:
            members.discard(channel)
            if not members:
                del self._routes[name.encode()]
                self._shard_of(name).unsubscribe(name.encode())

    async def close(self) -> None:
        """Break all connections."""
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
            except Exception as error:  # what it is depends on what was sent
                reject(error)
                continue
            try:
                put(message)
            except Exception as error:
                self.complain(error)

    def complain(self, error: Exception) -> None:
        """Count an event that was not delivered, and say so now and then."""
        self._undelivered += 1
        now = monotonic()
        if now - self._complained_at > COMPLAIN_SECONDS:
            self._complained_at = now
            text = "%d events could not be delivered, the last because of %r"
            logger.error(text, self._undelivered, error)
            self._undelivered = 0

    def _interrupt(self, server: int, since: float) -> None:
        self._is_interrupted = True
        for callback in self.interruption_callbacks:
            callback(server, since)
        if self._layer.on_disconnect is not None:
            self._layer.on_disconnect()

    def _note_restored(self) -> None:
        if self._is_interrupted and self._layer.on_reconnect is not None:
            self._layer.on_reconnect()
        self._is_interrupted = False
