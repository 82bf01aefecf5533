"""One Redis server: its commands, its pub/sub and its health."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeAlias

from sync_streams.conf import get_settings

from .endpoint import Opener
from .health import Health, RedisUnavailable
from .pipeline import Pipeline
from .protocol import ReplyError, Word
from .scripts import SPEND_AND_PUBLISH, SPEND_AND_PUBLISH_SHARDED
from .subscription import PLAIN, SHARDED, Listener, Subscription

logger = logging.getLogger(__name__)

PART = "publishing"

Rate: TypeAlias = tuple[str, int, int]
"""The key it is counted under, Messages per window, and the window in µs."""

Tell: TypeAlias = Callable[[float, Exception | None], None]
"""Called with a publish's outcome: the seconds to wait, or an error."""


class Shard(Protocol):
    """Holds a part of the groups: a server or a cluster."""

    is_sharded: bool
    """Whether names have a hash tag, which determines their server."""

    async def publish(self, channel: bytes, payload: bytes) -> None:
        """Publish to a channel.

        Raises:
            RedisUnavailable: with the reason.
        """

    async def publish_in_rate(
        self, channel: bytes, payload: bytes, rate: Rate
    ) -> float:
        """Publish to a channel if the rate limit allows it, in one atomic step.

        Args:
            channel: the channel.
            payload: what to publish.
            rate: the key it is counted under, Messages per window, and the window in
                microseconds.

        Returns:
            0 if it was published, or else the seconds to wait.

        Raises:
            RedisUnavailable: with the reason.
        """

    @property
    def ready(self) -> "Server | None":
        """The server that can be sent a script without waiting for anything, if any."""

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

    async def publish_in_rate(
        self, channel: bytes, payload: bytes, rate: Rate
    ) -> float:
        """Publish to a channel if the rate limit allows it."""
        words = *rate, channel, payload
        started = asyncio.get_running_loop().time()
        if self.pipeline.clock_ahead is not None:
            return await self._publish(words, started)
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await self.pipeline.request("PING")
                if self.pipeline.clock_ahead is None:
                    self.pipeline.read_clock(await self.pipeline.request("TIME"))
                return await self._publish(words, started)
        except TimeoutError:
            raise RedisUnavailable("no answer") from None

    async def _publish(self, words: Sequence[Word], started: float) -> float:
        outcome: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.start(words, started, partial(_settle, outcome))
        return await outcome

    def start(self, words: Sequence[Word], started: float, tell: Tell) -> None:
        """Have the script publish, if the rate limit allows it.

        Args:
            words: the rate, the channel and the payload.
            started: when, by the loop's clock; it is too late
                ``broadcast_timeout_seconds`` after that.
            tell: called once, with the seconds to wait, which are 0 if it was
                published; or with the error.
        """
        self.pipeline.check_clock(started)
        ahead = self.pipeline.clock_ahead
        if ahead is None:
            tell(0, RedisUnavailable("connection closed", is_undone=True))
            return
        until = started + ahead + get_settings().broadcast_timeout_seconds
        words = 1, *words, int(until * 1_000_000)
        attempt = _Attempt(self, words, tell)
        self.pipeline.forward((b"EVALSHA", self._script.sha, *words), attempt)

    def start_again(self, attempt: "_Attempt") -> None:
        """Send the script itself: the server no longer has it and has done nothing."""
        self.pipeline.forward((b"EVAL", self._script.text, *attempt.words), attempt)

    def accept(self) -> None:
        """Record that the server has carried out a script."""
        if self._publishing.reason:
            self._publishing.recover(PART)

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


class _Attempt:
    """A Message that was sent with the script; takes the reply."""

    __slots__ = ("_is_repeated", "_node", "_tell", "words")

    def __init__(self, node: Node, words: Sequence[Word], tell: Tell) -> None:
        self._node, self._tell = node, tell
        self._is_repeated = False
        self.words = words
        """The script's keys and arguments."""

    def done(self) -> bool:
        return False

    def set_result(self, waited: int) -> None:
        if waited < 0:
            # Or the server's clock was set forward.
            self._node.pipeline.forget_clock()
            late = RedisUnavailable("it came too late", is_undone=True)
            self._finish(0, late)
        else:
            self._node.accept()
            self._finish(waited / 1_000_000, None)

    def set_exception(self, error: Exception) -> None:
        is_unknown = isinstance(error, ReplyError) and error.code == "NOSCRIPT"
        if is_unknown and not self._is_repeated:
            self._is_repeated = True
            self._node.start_again(self)
        else:
            self._finish(0, error)

    def _finish(self, wait: float, error: Exception | None) -> None:
        try:
            self._tell(wait, error)
        except Exception:
            # It must not end the connection, since others wait on it.
            logger.exception("the outcome of a publish could not be reported")


def _settle(
    outcome: "asyncio.Future[float]", wait: float, error: Exception | None
) -> None:
    if outcome.done():
        return  # nobody waits any more
    if error is None:
        outcome.set_result(wait)
    else:
        outcome.set_exception(error)


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

    async def publish_in_rate(
        self, channel: bytes, payload: bytes, rate: Rate
    ) -> float:
        try:
            return await self._node.publish_in_rate(channel, payload, rate)
        except ReplyError as error:
            raise self._node.refuse(error) from error

    @property
    def ready(self) -> "Server | None":
        return self if self._node.pipeline.is_ready else None

    def start_in_rate(
        self, channel: bytes, payload: bytes, rate: Rate, tell: Tell
    ) -> None:
        """Do what :meth:`publish_in_rate` does without waiting for it.

        Args:
            channel: the channel.
            payload: what to publish.
            rate: as above.
            tell: called once, where the reply is read; its error is RedisUnavailable.
        """

        def told(wait: float, error: Exception | None) -> None:
            if isinstance(error, ReplyError):
                error = self._node.refuse(error)
            tell(wait, error)

        started = asyncio.get_running_loop().time()
        self._node.start((*rate, channel, payload), started, told)

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
