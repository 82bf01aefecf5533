"""Census: how many connections an identity, an account and an address have here.

Counts only what has a bound, in this process: ``max_connections_per_identity``,
``max_connections_per_account`` and ``max_connections_per_address``, all off by default.
"""

from collections import Counter
from collections.abc import Iterator

from sync_streams.conf import get_settings
from sync_streams.errors import TooManyRequests
from sync_streams.tokens import Identity

Key = tuple[str, ...]
"""Which bound it is, and whose connections it counts."""


class Census:
    """Connections that are counted."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def enter(self, identity: Identity, service_sid: str, address: str) -> list[Key]:
        """Count a connection whose token was accepted; return what :meth:`leave` needs.

        Raises:
            TooManyRequests: 20429, one of them has as many as it may.
        """
        keys = []
        for key, limit in _bounds(identity, service_sid, address):
            if self._counts.get(key, 0) >= limit:
                raise TooManyRequests(f"Too many connections of this {key[0]}")
            keys.append(key)
        self._counts.update(keys)
        return keys

    def leave(self, keys: list[Key]) -> None:
        """Count a connection no more."""
        for key in keys:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]


census = Census()


def _bounds(
    identity: Identity, service_sid: str, address: str
) -> Iterator[tuple[Key, int]]:
    settings = get_settings()
    if limit := settings.max_connections_per_identity:
        yield ("identity", service_sid, identity.name), limit
    if limit := settings.max_connections_per_account:
        yield ("account", identity.account_sid), limit
    if (limit := settings.max_connections_per_address) and address:
        yield ("address", address), limit
