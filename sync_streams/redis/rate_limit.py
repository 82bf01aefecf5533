"""Publish rate of a Stream: exact, atomic, shared by all processes on one Redis.

It belongs to the unique name: a Stream that is removed and created again under the same
name continues with the remaining rate. The SID encodes the name
(:mod:`sync_streams.values.sids`), so nothing has to be looked up or transferred.

Any window of ``publish_window_seconds`` holds at most ``publish_rate`` times its length
in Messages. The limit uses a log of accepted Messages, not a counter, so neither the
edge of a window nor a burst lets an extra one through. Twilio documents 30 Messages a
second and a 10 s window: https://www.twilio.com/docs/sync/limits.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import chain
from threading import Lock
from typing import Any
from zlib import crc32

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sync_streams.conf import get_settings
from sync_streams.errors import RateLimited, ServiceUnavailable
from sync_streams.processes.per_loop import PerLoop
from sync_streams.values.rates import Rates
from sync_streams.values.sids import name_digits

from .scripts import SPEND
from .urls import hosts

MAX_CONNECTIONS = 16
"""Maximum connections to Redis per event loop."""

MAX_REFUSED_STREAMS = 10_000
"""Maximum number of Streams whose refusals are counted."""


class PublishLog:
    """Messages accepted by this process, for as long as they count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._accepted: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str, limit: int, microseconds: int) -> float:
        """Accept a Message of a :func:`rate` and return 0, or the seconds to wait."""
        window = microseconds / 1_000_000
        with self._lock:
            now, log = self._clock(), self._accepted.get(key)
            if log is None:
                self._forget(now - window)
                log = self._accepted[key] = deque()
            if len(log) >= limit and now - log[-limit] < window:
                return window - (now - log[-limit])
            log.append(now)
            while len(log) > limit:
                log.popleft()
            self._accepted.move_to_end(key)
            return 0

    def _forget(self, before: float) -> None:
        # Streams are ordered by their latest Message, so inactive ones come first;
        # removing up to two for each new one keeps the table small.
        for _ in range(2):
            name = next(iter(self._accepted), None)
            if name is None or self._accepted[name][-1] > before:
                return
            del self._accepted[name]


class Refusals:
    """Counts a Stream's Messages refused by this process; for operators, not exact."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset all counts."""
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()
        self.total = 0
        """Refusals of all Streams."""

    def note(self, stream_sid: str) -> None:
        """Count one; at the limit, drop the Stream whose refusal is oldest."""
        with self._lock:
            self.total += 1
            self._counts[stream_sid] = self._counts.get(stream_sid, 0) + 1
            self._counts.move_to_end(stream_sid)
            if len(self._counts) > MAX_REFUSED_STREAMS:
                self._counts.popitem(last=False)

    def count(self, stream_sid: str) -> int:
        """Return how many Messages of the Stream were refused."""
        return self._counts.get(stream_sid, 0)


admissions = PublishLog()
"""What this process has accepted, if Redis does not count it."""

refusals = Refusals()

refused_rates = Rates()
"""Messages refused, by Stream."""


async def aspend(stream_sid: str) -> None:
    """Count one Message against the Stream's rate.

    Raises:
        RateLimited: 54009, with the seconds to wait.
        ServiceUnavailable: 20503, Redis does not respond.
    """
    key, limit, microseconds = rate(stream_sid)
    if url := get_settings().redis_url:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                client = async_client(url, name_digits(stream_sid))
                arguments = key, str(limit), str(microseconds)
                wait = int(await client.eval(SPEND.text, 1, *arguments)) / 1_000_000
        except (redis.RedisError, OSError) as error:
            raise ServiceUnavailable from error
    else:
        wait = admissions.wait(key, limit, microseconds)
    if wait > 0:
        raise refusal(stream_sid, wait)


def rate(stream_sid: str) -> tuple[str, int, int]:
    """Return a Stream's rate, in the form that Redis scripts take.

    Returns:
        The key of its log, Messages per window, and the window in microseconds.
    """
    settings = get_settings()
    window = settings.publish_window_seconds
    # Braces keep the key on the slot of the Stream's group in a Redis Cluster.
    key = f"{settings.prefix}:rate:{{{name_digits(stream_sid)}}}"
    return key, max(1, int(settings.publish_rate * window)), int(window * 1e6)


def refusal(stream_sid: str, wait: float) -> RateLimited:
    """Count a Message as refused, and return the error to raise.

    Args:
        stream_sid: the Stream.
        wait: seconds until its next Message is accepted.
    """
    refusals.note(stream_sid)
    refused_rates.note(stream_sid)
    return RateLimited(stream_sid, wait)


def async_client(url: str, key: str) -> redis.asyncio.Redis:
    """Return the running event loop's client for the Redis that a key is on.

    Args:
        url: as in ``redis_url``.
        key: selects one of several servers, such as a SID.
    """
    clients = _by_loop.get()
    if url not in clients:
        clients[url] = [_connect(host) for host in hosts(url)]
    return clients[url][server_of(key, len(clients[url]))]


def server_of(key: str, servers: int) -> int:
    """Return the number of the server, of that many, that a key is on."""
    return crc32(key.encode()) % servers


def forget_after_fork() -> None:
    """Start over in a forked process, which keeps its own counts."""
    global admissions
    admissions = PublishLog()
    refusals.forget()
    refused_rates.forget()
    _by_loop.clear()


_Clients = dict[str, list[redis.asyncio.Redis]]
"""One event loop's clients, by the URL of their servers."""


async def _close(clients: _Clients) -> None:
    for client in chain.from_iterable(clients.values()):
        await client.aclose(close_connection_pool=True)
        sentinels: Any = getattr(client.connection_pool, "sentinel_manager", None)
        for sentinel in sentinels.sentinels if sentinels is not None else ():
            await sentinel.aclose(close_connection_pool=True)


_by_loop: PerLoop[_Clients] = PerLoop(dict, _close)


def _connect(host: dict[str, Any]) -> Any:
    timeout = get_settings().broadcast_timeout_seconds
    # Retry once after a broken connection, as when Redis restarts, but never after a
    # timeout, which would double the time until the error is reported.
    again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    options = host | {"socket_timeout": timeout, "retry": again}
    if nodes := options.pop("cluster", None):
        known = [ClusterNode(*address) for address in nodes]
        return redis.asyncio.RedisCluster(startup_nodes=known, **options)
    if sentinels := options.pop("sentinels", None):
        library: Any = redis.asyncio
        guards = library.Sentinel(sentinels, 0, options.pop("sentinel_kwargs"))
        return guards.master_for(options.pop("master_name"), **options)
    # This pool makes publishers wait when it is empty; the default one fails.
    options |= {"max_connections": MAX_CONNECTIONS, "timeout": timeout}
    address = options.pop("address")
    pool = redis.asyncio.BlockingConnectionPool.from_url(address, **options)
    return redis.asyncio.Redis(connection_pool=pool)
