"""Publish rate of a Stream: exact, atomic, one for all processes that share a Redis.

It belongs to the unique name: a Stream that is removed and created again under its name
has what is left of the rate. The SID carries the name (:mod:`sync_streams.sids`), so
nothing has to be looked up or handed over.

Any window of ``publish_window_seconds`` holds at most ``publish_rate`` times its length
Messages: a log of the latest admissions decides, not a counter, so neither the edge of
a window nor a burst lets one more through. Twilio documents 30 Messages a second and a
10 s window: https://www.twilio.com/docs/sync/limits.
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
from sync_streams.per_loop import PerLoop
from sync_streams.sids import name_digits
from sync_streams.stream_rates import StreamRates

from .scripts import SPEND
from .urls import hosts

MAX_CONNECTIONS = 16
"""Connections to Redis that one event loop may open."""

MAX_REFUSED_STREAMS = 10_000
"""Streams whose refusals are counted."""


class PublishLog:
    """Admissions of this process, for as long as they can refuse another one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._admitted: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, limit: int, window: float) -> float:
        """Admit a Message and return 0, or return the seconds to wait."""
        with self._lock:
            now = self._clock()
            self._forget(now - window)
            log = self._admitted.setdefault(name, deque())
            if len(log) >= limit and now - log[-limit] < window:
                return window - (now - log[-limit])
            log.append(now)
            while len(log) > limit:
                log.popleft()
            self._admitted.move_to_end(name)
            return 0

    def _forget(self, before: float) -> None:
        # Streams stand in the order of their latest admission, so those that have
        # gone quiet are first; two at each call empty the table faster than it fills.
        for _ in range(2):
            name = next(iter(self._admitted), None)
            if name is None or self._admitted[name][-1] > before:
                return
            del self._admitted[name]


class Refusals:
    """How often this process refused a Stream's Messages; for who looks, not exact."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin with none."""
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()
        self.total = 0
        """Refusals of all Streams."""

    def note(self, stream_sid: str) -> None:
        """Count one more; the Stream that was refused longest ago may be forgotten."""
        with self._lock:
            self.total += 1
            self._counts[stream_sid] = self._counts.get(stream_sid, 0) + 1
            self._counts.move_to_end(stream_sid)
            if len(self._counts) > MAX_REFUSED_STREAMS:
                self._counts.popitem(last=False)

    def count(self, stream_sid: str) -> int:
        """Return how many Messages of the Stream were refused."""
        return self._counts.get(stream_sid, 0)


_log = PublishLog()
refusals = Refusals()

refused_rates = StreamRates()
"""Messages refused, by Stream."""


async def aspend(stream_sid: str) -> None:
    """Take one Message out of the Stream's rate.

    Raises:
        RateLimited: 54009, with the seconds to wait.
        ServiceUnavailable: 20503, Redis does not answer.
    """
    if url := get_settings().redis_url:
        try:
            async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
                client = async_client(url, name_digits(stream_sid))
                key, *arguments = rate(stream_sid)
                wait = await client.eval(SPEND.text, 1, key, *map(str, arguments))
        except (redis.RedisError, OSError) as error:
            raise ServiceUnavailable from error
        check(stream_sid, int(wait) / 1_000_000)
    else:
        spend(stream_sid)


def spend(stream_sid: str) -> None:
    """Take one Message out of the Stream's rate, where this process alone counts it.

    Raises:
        RateLimited: 54009, with the seconds to wait.
    """
    limit, window = _limit()
    check(stream_sid, _log.wait(name_digits(stream_sid), limit, window))


def rate(stream_sid: str) -> tuple[str, int, int]:
    """Return a Stream's rate as Redis counts it.

    Returns:
        The key of its log, the Messages in a window, and that window in microseconds.
    """
    limit, window = _limit()
    # Braces keep the key on the slot of the Stream's group in a Redis Cluster.
    key = f"{get_settings().prefix}:rate:{{{name_digits(stream_sid)}}}"
    return key, limit, int(window * 1e6)


def check(stream_sid: str, wait: float) -> None:
    """Count a refusal, if it is one.

    Args:
        stream_sid: the Stream.
        wait: seconds until its next Message would be admitted; 0: this one was.

    Raises:
        RateLimited: 54009, with the seconds to wait.
    """
    if wait > 0:
        refusals.note(stream_sid)
        refused_rates.note(stream_sid)
        raise RateLimited(stream_sid, wait)


def is_local() -> bool:
    """Tell whether this process alone counts: :func:`spend` then needs no waiting."""
    return not get_settings().redis_url


def async_client(url: str, key: str) -> redis.asyncio.Redis:
    """Return the running event loop's client of the Redis that a key is on.

    Args:
        url: as in ``redis_url``.
        key: whatever is to be on one of them, a SID.
    """
    clients = _by_loop.get()
    if url not in clients:
        clients[url] = [_connect(host) for host in hosts(url)]
    return clients[url][crc32(key.encode()) % len(clients[url])]


def forget_after_fork() -> None:
    """Begin anew in a process that was forked: it counts for itself."""
    global _log
    _log = PublishLog()
    refusals.forget()
    refused_rates.forget()
    _by_loop.clear()


def _limit() -> tuple[int, float]:
    settings = get_settings()
    window = settings.publish_window_seconds
    return max(1, int(settings.publish_rate * window)), window


_Clients = dict[str, list[redis.asyncio.Redis]]
"""One event loop's clients, by the URL that names their servers."""


async def _close(clients: _Clients) -> None:
    for client in chain.from_iterable(clients.values()):
        await client.aclose(close_connection_pool=True)
        sentinels: Any = getattr(client.connection_pool, "sentinel_manager", None)
        for sentinel in sentinels.sentinels if sentinels is not None else ():
            await sentinel.aclose(close_connection_pool=True)


_by_loop: PerLoop[_Clients] = PerLoop(dict, _close)


def _connect(host: dict[str, Any]) -> Any:
    timeout = get_settings().broadcast_timeout_seconds
    # Once more where a connection broke, as all do when Redis starts anew, and never
    # where an answer does not come: that would double the time it takes to say so.
    again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    options = host | {"socket_timeout": timeout, "retry": again}
    if nodes := options.pop("cluster", None):
        known = [ClusterNode(*address) for address in nodes]
        return redis.asyncio.RedisCluster(startup_nodes=known, **options)
    if sentinels := options.pop("sentinels", None):
        library: Any = redis.asyncio
        guards = library.Sentinel(sentinels, 0, options.pop("sentinel_kwargs"))
        return guards.master_for(options.pop("master_name"), **options)
    # A pool that is empty lets publishers wait; the ordinary one refuses them.
    options |= {"max_connections": MAX_CONNECTIONS, "timeout": timeout}
    address = options.pop("address")
    pool = redis.asyncio.BlockingConnectionPool.from_url(address, **options)
    return redis.asyncio.Redis(connection_pool=pool)
