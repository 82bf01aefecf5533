"""Presence: which identities have an endpoint, in this process or, by Redis, in all.

An identity is online from its first endpoint on until its last one has gone and the
time that it was given to come back is over. In Redis every endpoint holds a lease that
its process renews, so those of a process that died lapse by themselves.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from redis.asyncio import Redis

LEASE_SECONDS = 60
"""Time for which an endpoint is believed to be there without another word of it."""

BATCH = 100
"""Identities or endpoints that one command of Redis looks after."""

_CONNECT = """
local t = redis.call('TIME')
local lease = t[1] + t[2] / 1000000 + ARGV[3]
redis.call('ZADD', KEYS[1], lease, ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3] * 2)
local was_online = redis.call('ZSCORE', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[2], lease, ARGV[1])
redis.call('EXPIRE', KEYS[2], 86400)
return was_online and 0 or 1
"""

_DISCONNECT = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) > 0 or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 0
end
if tonumber(ARGV[3]) > 0 then
  redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""

# The keys that it makes up share the slot of the one that it is given.
_COLLECT = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
local gone = {}
for _, identity in ipairs(due) do
  local endpoints = ARGV[1] .. identity
  redis.call('ZREMRANGEBYSCORE', endpoints, '-inf', now)
  local last = redis.call('ZRANGE', endpoints, -1, -1, 'WITHSCORES')
  if last[2] then
    redis.call('ZADD', KEYS[1], last[2], identity)
  else
    redis.call('ZREM', KEYS[1], identity)
    gone[#gone + 1] = identity
  end
end
return gone
"""


Arguments = list[str | int | float]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One connection of an identity to a Service."""

    service_sid: str
    identity: str
    connection_id: str


class Presence(Protocol):
    """Who is online."""

    async def connect(self, endpoint: Endpoint) -> bool:
        """Add an endpoint; tell whether its identity was offline."""

    async def disconnect(self, endpoint: Endpoint, window: float) -> bool:
        """Take an endpoint away; tell whether its identity is offline by that.

        With a *window*, in seconds, it is not before that time is over:
        :meth:`collect` will tell, unless another endpoint comes.
        """

    async def collect(self, service_sid: str) -> list[str]:
        """Return the identities that have gone offline since they were last asked for.

        Each is returned to one caller of all processes.
        """

    async def renew(self, endpoint: Endpoint) -> None:
        """Say again that an endpoint is there, within ``LEASE_SECONDS``."""

    async def close(self) -> None:
        """Ask nothing more."""


@dataclass(slots=True)
class _Online:
    endpoints: set[str] = field(default_factory=set)
    offline_at: float | None = None


class LocalPresence:
    """Presence of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody."""
        self._clock = clock
        self._online: dict[str, dict[str, _Online]] = {}

    async def connect(self, endpoint: Endpoint) -> bool:
        online = self._online.setdefault(endpoint.service_sid, {})
        is_new = endpoint.identity not in online
        known = online.setdefault(endpoint.identity, _Online())
        known.endpoints.add(endpoint.connection_id)
        known.offline_at = None
        return is_new

    async def disconnect(self, endpoint: Endpoint, window: float) -> bool:
        known = self._online.get(endpoint.service_sid, {}).get(endpoint.identity)
        if known is None:
            return False
        known.endpoints.discard(endpoint.connection_id)
        if not known.endpoints and window > 0:
            known.offline_at = self._clock() + window
        elif not known.endpoints:
            self._forget(endpoint.service_sid, endpoint.identity)
            return True
        return False

    async def collect(self, service_sid: str) -> list[str]:
        now = self._clock()
        gone = [
            identity
            for identity, known in self._online.get(service_sid, {}).items()
            if known.offline_at is not None and known.offline_at <= now
        ]
        for identity in gone:
            self._forget(service_sid, identity)
        return gone

    async def renew(self, endpoint: Endpoint) -> None:
        return

    async def close(self) -> None:
        self._online.clear()

    def _forget(self, service_sid: str, identity: str) -> None:
        del self._online[service_sid][identity]
        if not self._online[service_sid]:
            del self._online[service_sid]


class RedisPresence:
    """Presence of all processes that share a Redis."""

    def __init__(self, url: str, *, timeout: float, lease: int = LEASE_SECONDS) -> None:
        """Use the Redis at *url* from the running event loop."""
        self._client = Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )
        self._lease = lease
        self._connect = self._client.register_script(_CONNECT)
        self._disconnect = self._client.register_script(_DISCONNECT)
        self._collect = self._client.register_script(_COLLECT)

    async def connect(self, endpoint: Endpoint) -> bool:
        arguments: Arguments = [endpoint.identity, endpoint.connection_id, self._lease]
        return bool(await self._connect(_keys(endpoint), arguments))

    async def disconnect(self, endpoint: Endpoint, window: float) -> bool:
        arguments: Arguments = [endpoint.identity, endpoint.connection_id, window]
        return bool(await self._disconnect(_keys(endpoint), arguments))

    async def collect(self, service_sid: str) -> list[str]:
        arguments: Arguments = [_endpoints_key(service_sid, ""), BATCH]
        gone: list[bytes] = await self._collect([_online_key(service_sid)], arguments)
        return [identity.decode() for identity in gone]

    async def renew(self, endpoint: Endpoint) -> None:
        # After a Redis that has forgotten everything this tells of nobody anew.
        await self.connect(endpoint)

    async def close(self) -> None:
        await self._client.aclose()


def _keys(endpoint: Endpoint) -> list[str]:
    service_sid = endpoint.service_sid
    return [_endpoints_key(service_sid, endpoint.identity), _online_key(service_sid)]


def _online_key(service_sid: str) -> str:
    return f"sync_streams:online:{{{service_sid}}}"


def _endpoints_key(service_sid: str, identity: str) -> str:
    return f"sync_streams:endpoints:{{{service_sid}}}:{identity}"
