"""Pub/sub of one server: one connection, subscribed to every wanted channel.

A broken connection is replaced and subscribed to the same channels. Anything published
in between is lost, and the listener is notified at once.
https://redis.io/docs/latest/develop/pubsub/.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sync_streams.conf import get_settings

from .connection import Connection
from .endpoint import Opener
from .health import Backoff, Health, RedisUnavailable, describe
from .protocol import ReplyError, pack

logger = logging.getLogger(__name__)

PING_SECONDS = 5
"""Silence after which the server is pinged."""

PART = "subscriptions"


@dataclass(frozen=True, slots=True)
class Verbs:
    """Command names of one kind of pub/sub."""

    subscribe: bytes
    unsubscribe: bytes
    message: bytes


PLAIN = Verbs(b"subscribe", b"unsubscribe", b"message")
SHARDED = Verbs(b"ssubscribe", b"sunsubscribe", b"smessage")


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks of a subscription."""

    deliver: Callable[[bytes, bytes], None]
    """Called with a channel and a published payload."""

    interrupted: Callable[[float], None]
    """Called when the connection breaks, with the time since when something may have
    been missed, by the loop's clock."""

    restored: Callable[[], None] = lambda: None
    """Called when a connection is established."""

    broken: Callable[[], None] = lambda: None
    """Called each time a connection fails or is lost."""

    moved: Callable[[bytes], None] = lambda channel: None
    """Called with a channel that has moved to another server of the cluster."""


class Subscription:
    """Subscribed channels of one server."""

    def __init__(
        self, opener: Opener, health: Health, listener: Listener, verbs: Verbs = PLAIN
    ) -> None:
        """Connect when the first channel is added, and stay connected."""
        self._opener, self._health = opener, health
        self._listener, self._verbs = listener, verbs
        self._message, self._deliver = verbs.message, listener.deliver
        self._loop = asyncio.get_running_loop()
        self.wanted: dict[bytes, list[asyncio.Future[None]]] = {}
        """Channels, each with the callers that wait for it."""
        self._confirmed: set[bytes] = set()
        self._asked: deque[tuple[bytes, bytes]] = deque()
        self._leaving: Counter[bytes] = Counter()
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._backoff = Backoff()

    async def add(self, channel: bytes) -> None:
        """Subscribe to a channel; effective when this returns.

        Raises:
            RedisUnavailable: it failed, but will be retried until the channel is
                discarded.
            ReplyError: the server refuses it.
        """
        if channel in self._confirmed:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        is_new = channel not in self.wanted
        self.wanted.setdefault(channel, []).append(waiter)
        if is_new:
            self._ask(self._verbs.subscribe, channel)
        self._keep()
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                await waiter
        except TimeoutError:
            raise RedisUnavailable(self._health.reason or "no answer") from None

    def take_over(self, channel: bytes, other: "Subscription") -> None:
        """Take over a channel from another server's subscription."""
        waiters = other.wanted.get(channel, [])
        other.wanted[channel] = []
        other.discard(channel)
        self.wanted[channel] = waiters
        self._ask(self._verbs.subscribe, channel)
        self._keep()

    def discard(self, channel: bytes) -> None:
        """Unsubscribe from a channel, effective at once."""
        if channel in self.wanted:
            self._release(channel, RedisUnavailable("not wanted any more"))
            del self.wanted[channel]
            self._confirmed.discard(channel)
            self._ask(self._verbs.unsubscribe, channel)

    def reset(self, reason: str) -> None:
        """Close the connection; a new one replaces it."""
        if self._connection is not None:
            self._connection.abort(reason)

    async def close(self) -> None:
        """Close the connection and forget all channels."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        for channel in self.wanted:
            self._release(channel, RedisUnavailable("closed"))
        self.wanted.clear()

    def _keep(self) -> None:
        if self._keeper is None or self._keeper.done():
            self._keeper = self._loop.create_task(self._stay_connected())

    async def _stay_connected(self) -> None:
        while True:
            try:
                connection = await self._opener.open()
            except Exception as error:
                self._note_broken(describe(error))
            else:
                await self._listen(connection)
            await asyncio.sleep(self._backoff.pause())

    async def _listen(self, connection: Connection) -> None:
        lost: asyncio.Future[str] = self._loop.create_future()
        connection.on_lost = lost.set_result
        if connection.is_lost:
            lost.set_result("connection closed")
        connection.take = self._take
        self._connection = connection
        try:
            self._begin()
            while not lost.done():
                await asyncio.wait([lost], timeout=PING_SECONDS)
                self._check_silence(connection)
            self._note_broken(lost.result())
        finally:
            was_listening = bool(self._confirmed)
            self._connection = None
            for memory in (self._confirmed, self._asked, self._leaving):
                memory.clear()
            connection.abort("closed")
            if lost.done() and was_listening:
                self._listener.interrupted(connection.received_at)

    def _begin(self) -> None:
        for channel in self.wanted:
            self._ask(self._verbs.subscribe, channel)
        self._health.recover(PART)
        self._listener.restored()

    def _check_silence(self, connection: Connection) -> None:
        silent_for = self._loop.time() - connection.received_at
        limit = PING_SECONDS + get_settings().broadcast_timeout_seconds
        if silent_for > limit and self._asked:
            self._health.fail(PART, "no answer", silent_for=silent_for)
            connection.abort("no answer")
        elif silent_for > PING_SECONDS / 2 and not self._asked:
            self._asked.append((b"ping", b""))
            connection.send(pack(b"PING"))

    def _note_broken(self, reason: str) -> None:
        self._health.fail(PART, reason)
        self._listener.broken()
        for channel in self.wanted:
            self._release(channel, RedisUnavailable(reason))

    def _release(self, channel: bytes, error: Exception | None = None) -> None:
        waiters, self.wanted[channel] = self.wanted[channel], []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _ask(self, verb: bytes, channel: bytes) -> None:
        if self._connection is None:
            return  # the next connection starts with all wanted channels
        # One channel per command: on a cluster, different slots cannot share a command.
        self._asked.append((verb, channel))
        if verb == self._verbs.unsubscribe:
            self._leaving[channel] += 1
        self._connection.send(pack(verb, channel))

    def _take(self, reply: Any) -> None:
        if type(reply) is list:
            kind = reply[0]
            if kind == self._message:
                self._deliver(reply[1], reply[2])
            elif kind == self._verbs.unsubscribe and self._is_told(reply[1]):
                self._confirmed.discard(reply[1])
                self._listener.moved(reply[1])
            else:
                self._note_answer(None)
        else:
            self._note_answer(reply if isinstance(reply, ReplyError) else None)

    def _is_told(self, channel: bytes) -> bool:
        # A slot that moves unsubscribes its channels without a request.
        return not self._asked or self._asked[0] != (self._verbs.unsubscribe, channel)

    def _note_answer(self, error: ReplyError | None) -> None:
        verb, channel = self._asked.popleft()
        if verb == self._verbs.unsubscribe:
            self._note_left(channel)
        elif verb == self._verbs.subscribe and channel in self.wanted:
            self._note_subscribed(channel, error)

    def _note_left(self, channel: bytes) -> None:
        self._leaving[channel] -= 1
        if not self._leaving[channel]:
            del self._leaving[channel]

    def _note_subscribed(self, channel: bytes, error: ReplyError | None) -> None:
        if channel in self._leaving:
            return  # discarded and added again: the next reply counts
        if error is None:
            self._backoff.reset()
            self._confirmed.add(channel)
            self._release(channel)
        elif error.code in {"MOVED", "CLUSTERDOWN"}:
            self._listener.moved(channel)
        elif self.wanted[channel]:
            self._release(channel, error)
        elif self._connection is not None:
            self._connection.abort(str(error))
