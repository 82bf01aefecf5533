"""A Redis Cluster: sharded pub/sub puts each channel on the server with its slot.

The map of slots is fetched when it is unknown, when a server redirects a command, and
when a server is unavailable, because its replica may have taken over.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from redis.crc import key_slot

from sync_streams.conf import get_settings

from .endpoint import Endpoint, options_of, without
from .health import Backoff, Health, RedisUnavailable, describe
from .protocol import ReplyError
from .quorum import first_answer
from .server import Node, Rate
from .subscription import Listener
from .urls import CONNECT_SECONDS

T = TypeVar("T")
Address: TypeAlias = tuple[str, int]

MAX_REDIRECTIONS = 4
PART = "slots"


class Cluster:
    """All servers of a cluster, used as one."""

    is_sharded = True

    ready = None
    """Slots move, and a redirected command has to be followed."""

    def __init__(self, host: Mapping[str, Any], listener: Listener) -> None:
        """Connect on first use.

        Args:
            host: an entry of ``"hosts"`` with ``"cluster"``, the addresses of some of
                the servers, and options that apply to all of them.
            listener: receives events.
        """
        self._seeds: list[Address] = list(host["cluster"])
        self._options = without(host, "cluster")
        self._listener = replace(
            listener, broken=self._look_again, moved=self._note_moved
        )
        name = "Redis Cluster of {}:{}".format(*self._seeds[0])
        self._health = Health(name, "unreachable", "reachable again")
        self._nodes: dict[Address, Node] = {}
        self._owners: dict[int, Address] = {}
        self._wanted: dict[bytes, Node] = {}
        self._refresh: asyncio.Task[None] | None = None
        self._backoff = Backoff()

    async def publish(self, channel: bytes, payload: bytes) -> None:
        await self._run(channel, lambda node: node.publish(channel, payload))

    async def publish_in_rate(
        self, channel: bytes, payload: bytes, rate: Rate
    ) -> float:
        def run(node: Node) -> Awaitable[float]:
            return node.publish_in_rate(channel, payload, rate)

        return await self._run(channel, run)

    async def subscribe(self, channel: bytes) -> None:
        node = self._wanted.get(channel)
        if node is None:
            node = await self._bounded(self._owner(key_slot(channel)))
            # Another task may have set it while this one was looking it up.
            node = self._wanted.setdefault(channel, node)
        try:
            await node.subscription.add(channel)
        except ReplyError as error:
            raise node.refuse(error) from error

    def unsubscribe(self, channel: bytes) -> None:
        node = self._wanted.pop(channel, None)
        if node is not None:
            node.subscription.discard(channel)

    def reconnect(self) -> None:
        for node in self._nodes.values():
            node.reconnect("it seems to be silent")
        self._look_again()

    async def close(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)
            self._refresh = None
        nodes, self._nodes = self._nodes, {}
        self._wanted.clear()
        self._owners.clear()
        for node in nodes.values():
            await node.close()

    async def _run(self, channel: bytes, run: Callable[[Node], Awaitable[T]]) -> T:
        return await self._bounded(self._follow(key_slot(channel), run))

    @staticmethod
    async def _bounded(work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                return await work
        except TimeoutError:
            raise RedisUnavailable("no answer") from None

    async def _follow(self, slot: int, run: Callable[[Node], Awaitable[T]]) -> T:
        """Run a command on its slot's server; a redirected command had no effect."""
        node = await self._owner(slot)
        for _ in range(MAX_REDIRECTIONS):
            try:
                return await run(node)
            except RedisUnavailable:
                self._look_again()
                raise
            except ReplyError as error:
                if error.code not in {"MOVED", "ASK"}:
                    raise node.refuse(error) from error
                node = self._redirected(node, error, slot)
        raise RedisUnavailable("its slots move without end")

    def _redirected(self, node: Node, error: ReplyError, slot: int) -> Node:
        host, _, port = str(error).split()[-1].rpartition(":")
        address = host or self._address_of(node)[0], int(port)
        target = self._node(address)
        if error.code == "MOVED":
            self._owners[slot] = address
            self._look_again()
        else:
            # Sent together with the next command, in the same loop iteration. If that
            # has to read the server's clock first, ASKING is used up, and the command
            # is redirected once more.
            target.pipeline.request("ASKING").add_done_callback(_forget_error)
        return target

    def _address_of(self, node: Node) -> Address:
        return next(key for key, known in self._nodes.items() if known is node)

    async def _owner(self, slot: int) -> Node:
        if slot not in self._owners:
            self._look_again()
            if self._refresh is not None:
                await asyncio.shield(self._refresh)
        if slot not in self._owners:
            raise RedisUnavailable(self._health.reason or "nobody has the slot")
        return self._node(self._owners[slot])

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            endpoint = self._endpoint(address)
            node = Node(endpoint, self._listener, is_sharded=True)
            self._nodes[address] = node
        return node

    def _endpoint(self, address: Address) -> Endpoint:
        host, port = address
        return Endpoint(options_of(self._options, host=host, port=port))

    def _note_moved(self, channel: bytes) -> None:
        if channel in self._wanted:
            self._listener.interrupted(asyncio.get_running_loop().time())
        self._look_again()

    def _look_again(self) -> None:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.ensure_future(self._find_slots())

    async def _find_slots(self) -> None:
        try:
            ranges = await self._ask_all()
        except RedisUnavailable as error:
            self._health.fail(PART, error.reason)
        else:
            self._health.recover(PART)
            await self._settle(ranges)

    async def _ask_all(self) -> dict[int, Address]:
        addresses = {*self._seeds, *self._nodes}
        return await first_answer(self._ask(address) for address in addresses)

    async def _ask(self, address: Address) -> dict[int, Address]:
        connection = await self._endpoint(address).open()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                ranges = await connection.request("CLUSTER", "SLOTS")
        except (ReplyError, TimeoutError) as error:
            raise RedisUnavailable(describe(error)) from error
        finally:
            connection.abort("answered")
        owners = {}
        for first, last, (host, port, *_), *_ in ranges:
            owner = (host or b"").decode() or address[0], int(port)
            owners.update(dict.fromkeys(range(first, last + 1), owner))
        return owners

    async def _settle(self, owners: dict[int, Address]) -> None:
        self._owners = owners
        for channel, old in list(self._wanted.items()):
            address = owners.get(key_slot(channel))
            if address is not None and (new := self._node(address)) is not old:
                self._wanted[channel] = new
                new.subscription.take_over(channel, old.subscription)
        used = {*owners.values()}
        for address in [key for key in self._nodes if key not in used]:
            await self._nodes.pop(address).close()


def _forget_error(reply: "asyncio.Future[Any]") -> None:
    if not reply.cancelled():
        reply.exception()
