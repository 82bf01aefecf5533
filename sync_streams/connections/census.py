"""Census: the number of connections of each identity, account and address here.

Counts, in this process, only what has a limit: ``max_connections_per_identity``,
``max_connections_per_account`` and ``max_connections_per_address``, all off by default.
"""

from collections import Counter
from collections.abc import Iterator

from sync_streams.conf import get_settings
from sync_streams.errors import TooManyRequests
from sync_streams.tokens import Identity

Key = tuple[str, ...]
"""The kind of limit, and whose connections it counts."""


class Census:
    """Counts connections against their limits."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def enter(self, identity: Identity, service_sid: str, address: str) -> list[Key]:
        """Count an authenticated connection; return the argument for :meth:`leave`.

        Raises:
            TooManyRequests: 20429, one of the limits is reached.
        """
        keys = []
        for key, limit in _bounds(identity, service_sid, address):
            if self._counts.get(key, 0) >= limit:
                raise TooManyRequests(f"Too many connections of this {key[0]}")
            keys.append(key)
        self._counts.update(keys)
        return keys

    def leave(self, keys: list[Key]) -> None:
        """Stop counting a connection."""
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
