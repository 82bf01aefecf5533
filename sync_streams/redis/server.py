"""One Redis server: its commands, its pub/sub and its health."""

import asyncio
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from sync_streams.conf import get_settings

from .endpoint import Opener
from .health import Health, RedisUnavailable
from .pipeline import Pipeline
from .protocol import ReplyError, Word
from .scripts import SPEND_AND_PUBLISH, SPEND_AND_PUBLISH_SHARDED, Script
from .subscription import PLAIN, SHARDED, Listener, Subscription

PART = "publishing"

Rate: TypeAlias = tuple[str, int, int]
"""The key it is counted under, Messages per window, and the window in µs."""


class Shard(Protocol):
    """Holds a part of the groups: a server or a cluster."""

    is_sharded: bool
    """Whether names have a hash tag, which determines their server."""

    async def publish(self, channel: bytes, payload: bytes) -> None:
        """Publish to a channel.

        Raises:
            RedisUnavailable: with the reason.
        """

    async def publish_in_rate(self, channel: bytes, payload: bytes, rate: Rate) -> int:
        """Publish to a channel if the rate limit allows it, in one atomic step.

        Args:
            channel: the channel.
            payload: what to publish.
            rate: the key it is counted under, Messages per window, and the window in
                microseconds.

        Returns:
            0 if it was published, or else the microseconds to wait.

        Raises:
            RedisUnavailable: with the reason.
        """

    async def subscribe(self, channel: bytes) -> None:
        """Subscribe to a channel; effective when this returns.

        Raises:
            RedisUnavailable: with the reason.
        """

    def unsubscribe(self, channel: bytes) -> None:
        """Unsubscribe from a channel."""

    def reconnect(self) -> None:
        """Replace the connections; the listener is notified of the interruption."""

    async def close(self) -> None:
        """Close the connections and forget all subscriptions."""


class Node:
    """One server, at the level of commands and replies."""

    def __init__(
        self, opener: Opener, listener: Listener, *, is_sharded: bool = False
    ) -> None:
        """Connect on first use."""
        name = f"Redis {opener.name}"
        health = Health(name, "unreachable", "reachable again")
        self._publishing = Health(name, "refuses to publish", "publishes again")
        if is_sharded:
            self._verb, self._script = b"SPUBLISH", SPEND_AND_PUBLISH_SHARDED
        else:
            self._verb, self._script = b"PUBLISH", SPEND_AND_PUBLISH
        loading = "SCRIPT", "LOAD", self._script.text
        self.pipeline = Pipeline(opener, health, loading, ("TIME",))
        verbs = SHARDED if is_sharded else PLAIN

        def restored() -> None:
            self.pipeline.retry()
            listener.restored()

        listening = replace(listener, restored=restored)
        self.subscription = Subscription(opener, health, listening, verbs)

    async def publish(self, channel: bytes, payload: bytes) -> None:
        """Publish to a channel."""
        await self.pipeline.request(self._verb, channel, payload)

    async def publish_in_rate(self, channel: bytes, payload: bytes, rate: Rate) -> int:
        """Publish to a channel if the rate limit allows it."""
        started = asyncio.get_running_loop().time()
        if self.pipeline.clock_ahead is None:
            return await self._connect_and_publish(channel, payload, rate, started)
        return await self._publish_until(channel, payload, rate, started)

    async def _connect_and_publish(
        self, channel: bytes, payload: bytes, rate: Rate, started: float
    ) -> int:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self.pipeline.request("PING")
                return await self._publish_until(channel, payload, rate, started)
        except TimeoutError:
            raise RedisUnavailable("no answer") from None

    async def _publish_until(
        self, channel: bytes, payload: bytes, rate: Rate, started: float
    ) -> int:
        if (ahead := self.pipeline.clock_ahead) is None:
            ahead = await self._read_clock()
        self.pipeline.check_clock(started)
        until = started + ahead + get_settings().broadcast_timeout_seconds
        arguments = channel, payload, int(until * 1_000_000)
        waited = int(await self._evaluate(self._script, *rate, *arguments))
        if waited < 0:
            # Or its clock was set forward: read it again for the next Message.
            await self._read_clock()
            raise RedisUnavailable("it came too late", is_undone=True)
        if self._publishing.reason:
            self._publishing.recover(PART)
        return waited

    async def _read_clock(self) -> float:
        self.pipeline.read_clock(await self.pipeline.request("TIME"))
        if self.pipeline.clock_ahead is None:
            raise RedisUnavailable("connection closed", is_undone=True)
        return self.pipeline.clock_ahead

    async def _evaluate(self, script: Script, key: str, *arguments: Word) -> Any:
        request = self.pipeline.request
        try:
            return await request(b"EVALSHA", script.sha, 1, key, *arguments)
        except ReplyError as error:
            # NOSCRIPT: the server no longer has the script and has done nothing.
            if error.code != "NOSCRIPT":
                raise
        return await request(b"EVAL", script.text, 1, key, *arguments)

    def refuse(self, error: ReplyError) -> RedisUnavailable:
        """Record that the server refused a command; return the exception to raise."""
        reason = str(error)
        self._publishing.fail(PART, reason)
        if error.code == "READONLY":
            # It is no longer the master: a new connection may reach the current one.
            self.pipeline.renew()
        # Publishing is the last thing that a script does.
        return RedisUnavailable(reason, is_undone=True)

    def reconnect(self, reason: str) -> None:
        """Replace both connections."""
        self.pipeline.reset(reason)
        self.subscription.reset(reason)

    async def close(self) -> None:
        """Close both connections."""
        await self.pipeline.close()
        await self.subscription.close()


class Server:
    """One server, alone or behind Sentinels, with its commands and subscriptions."""

    is_sharded = False

    def __init__(self, opener: Opener, listener: Listener) -> None:
        """Connect on first use."""
        self._node = Node(opener, listener)

    async def publish(self, channel: bytes, payload: bytes) -> None:
        try:
            await self._node.publish(channel, payload)
        except ReplyError as error:
            raise self._node.refuse(error) from error

    async def publish_in_rate(self, channel: bytes, payload: bytes, rate: Rate) -> int:
        try:
            return await self._node.publish_in_rate(channel, payload, rate)
        except ReplyError as error:
            raise self._node.refuse(error) from error

    async def subscribe(self, channel: bytes) -> None:
        try:
            await self._node.subscription.add(channel)
        except ReplyError as error:
            raise self._node.refuse(error) from error

    def unsubscribe(self, channel: bytes) -> None:
        self._node.subscription.discard(channel)

    def reconnect(self) -> None:
        self._node.reconnect("it seems to be silent")

    async def close(self) -> None:
        await self._node.close()
