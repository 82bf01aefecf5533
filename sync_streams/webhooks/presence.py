"""Presence: which identities have an endpoint, in this process or (with Redis) in all.

An identity is online from its first endpoint until its last one has disconnected and
the debouncing window is over. In Redis every endpoint has a lease that its process
renews, so the endpoints of a dead process expire by themselves.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Protocol

from sync_streams.conf import get_settings
from sync_streams.redis import rate_limit
from sync_streams.redis.urls import hosts

LEASE_SECONDS = 60
"""Time after which an endpoint counts as gone unless its lease is renewed."""

BATCH = 100
"""Identities that one Redis command handles, or endpoints that are renewed at once."""

# The third key's only member names the epoch: another one after a loss of data. It is a
# sorted set, as the others are, so that an ACL need not allow more commands.
_CONNECT = """
local t = redis.call('TIME')
local lease = t[1] + t[2] / 1000000 + ARGV[3]
redis.call('ZADD', KEYS[1], lease, ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3] * 2)
local was_online = redis.call('ZSCORE', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[2], lease, ARGV[1])
redis.call('EXPIRE', KEYS[2], 86400)
if redis.call('ZCARD', KEYS[3]) == 0 then
  redis.call('ZADD', KEYS[3], 0, ARGV[4])
end
redis.call('EXPIRE', KEYS[3], 86400)
return {was_online and 0 or 1, redis.call('ZRANGE', KEYS[3], 0, 0)[1]}
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

# The keys that it builds share the slot of the key that is passed in.
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One connection of an identity to a Service."""

    service_sid: str
    identity: str
    connection_id: str
    account_sid: str = ""


class Presence(Protocol):
    """Who is online."""

    async def connect(self, endpoint: Endpoint) -> bool:
        """Add an endpoint; tell whether its identity was offline."""

    async def disconnect(self, endpoint: Endpoint, window: float) -> bool:
        """Remove an endpoint; tell whether its identity is now offline.

        With a *window*, in seconds, it stays online until that time is over;
        :meth:`collect` then returns it, unless another endpoint has connected.
        """

    async def collect(self, service_sid: str) -> list[str]:
        """Return the identities that have gone offline since the last call.

        Each is returned to a single caller among all processes.
        """

    async def renew(self, endpoint: Endpoint) -> bool:
        """Renew an endpoint's lease; call it within ``LEASE_SECONDS``.

        Tells whether its identity counted as offline, because nobody could renew it in
        time or add it at all.
        """

    def server_of(self, service_sid: str) -> int:
        """Return the number of the server that knows about a Service."""


@dataclass(slots=True)
class _Online:
    endpoints: set[str] = field(default_factory=set)
    offline_at: float | None = None


class LocalPresence:
    """Presence in this process only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
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

    async def renew(self, endpoint: Endpoint) -> bool:
        return False

    def server_of(self, service_sid: str) -> int:
        return 0

    def _forget(self, service_sid: str, identity: str) -> None:
        del self._online[service_sid][identity]
        if not self._online[service_sid]:
            del self._online[service_sid]


class RedisPresence:
    """Presence in all processes that share a Redis."""

    def __init__(self, url: str, *, lease: int = LEASE_SECONDS) -> None:
        """Use the Redis at *url*; with several, the one that a Service maps to."""
        self._url, self._lease = url, lease
        self._servers = len(hosts(url))
        # The epoch in which each endpoint of this process was added or renewed.
        self._epochs: dict[str, bytes] = {}

    async def connect(self, endpoint: Endpoint) -> bool:
        is_new, epoch = await self._eval(
            endpoint.service_sid,
            _CONNECT,
            [*_keys(endpoint), _epoch_key(endpoint.service_sid)],
            [*_arguments(endpoint, self._lease), token_hex(8)],
        )
        self._epochs[endpoint.connection_id] = epoch
        return bool(is_new)

    async def disconnect(self, endpoint: Endpoint, window: float) -> bool:
        self._epochs.pop(endpoint.connection_id, None)
        keys, arguments = _keys(endpoint), _arguments(endpoint, window)
        return bool(
            await self._eval(endpoint.service_sid, _DISCONNECT, keys, arguments)
        )

    async def collect(self, service_sid: str) -> list[str]:
        gone: list[bytes] = await self._eval(
            service_sid,
            _COLLECT,
            [_online_key(service_sid)],
            [_endpoints_key(service_sid, ""), str(BATCH)],
        )
        return [identity.decode() for identity in gone]

    async def renew(self, endpoint: Endpoint) -> bool:
        known = self._epochs.get(endpoint.connection_id)
        is_new = await self.connect(endpoint)
        # If Redis has lost its data, which starts a new epoch, nobody has reported the
        # identity as offline.
        return is_new and known in {None, self._epochs[endpoint.connection_id]}

    def server_of(self, service_sid: str) -> int:
        return rate_limit.server_of(service_sid, self._servers)

    async def _eval(
        self, service_sid: str, script: str, keys: list[str], arguments: list[str]
    ) -> Any:
        client: Any = rate_limit.async_client(self._url, service_sid)
        return await client.eval(script, len(keys), *keys, *arguments)


def _keys(endpoint: Endpoint) -> list[str]:
    service_sid = endpoint.service_sid
    return [_endpoints_key(service_sid, endpoint.identity), _online_key(service_sid)]


def _arguments(endpoint: Endpoint, seconds: float) -> list[str]:
    return [endpoint.identity, endpoint.connection_id, str(seconds)]


def _epoch_key(service_sid: str) -> str:
    return f"{get_settings().prefix}:epoch:{{{service_sid}}}"


def _online_key(service_sid: str) -> str:
    return f"{get_settings().prefix}:online:{{{service_sid}}}"


def _endpoints_key(service_sid: str, identity: str) -> str:
    return f"{get_settings().prefix}:endpoints:{{{service_sid}}}:{identity}"
