"""Census: the number of connections of each identity, account and address here.

Counts, in this process, only what has a limit: ``max_connections_per_identity``,
``max_connections_per_account`` and ``max_connections_per_address``, all off by default.
"""

from collections import Counter
from collections.abc import Iterator

from sync_streams.conf import get_settings
from sync_streams.errors import TooManyRequests
from sync_streams.models import Service

Key = tuple[str, ...]
"""The kind of limit, and whose connections it counts."""


class Census:
    """Counts connections against their limits."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def enter(self, identity: str, service: Service, address: str) -> list[Key]:
        """Count an authenticated connection; return the argument for :meth:`leave`.

        Args:
            identity: its identity; without one only the other limits apply.
            service: the Service that it is connected to.
            address: the client's IP address; empty if the server has none.

        Raises:
            TooManyRequests: 20429, one of the limits is reached.
        """
        keys = []
        for key, limit in _bounds(identity, service, address):
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


def _bounds(identity: str, service: Service, address: str) -> Iterator[tuple[Key, int]]:
    settings = get_settings()
    if (limit := settings.max_connections_per_identity) and identity:
        yield ("identity", service.sid, identity), limit
    if limit := settings.max_connections_per_account:
        yield ("account", service.account_sid), limit
    if (limit := settings.max_connections_per_address) and address:
        yield ("address", address), limit
