"""Failed logins by address: refuses addresses that fail too often.

Counts invalid credentials per minute in this process, over REST and sockets together.
Off by default (``max_failed_logins_per_minute``), because behind a proxy that forwards
no addresses all clients seem to have the same one.
"""

import time
from collections import Counter
from ipaddress import IPv6Address, ip_network

from sync_streams.cache.tokens import verify_token
from sync_streams.conf import get_settings
from sync_streams.errors import InvalidToken, TooManyRequests
from sync_streams.tokens import Identity

WINDOW_SECONDS = 60
MAX_ADDRESSES = 10_000
"""Limit of addresses counted in a minute; further ones are not."""


class Failures:
    """Counts failed logins of each address in the current minute."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._window_ends = 0.0

    def check(self, address: str) -> None:
        """Refuse an address that has failed too often.

        Raises:
            TooManyRequests: 20429, ``max_failed_logins_per_minute`` is reached.
        """
        limit = get_settings().max_failed_logins_per_minute
        if limit and self._seen(address) >= limit:
            raise TooManyRequests("Too many failed logins from this address")

    def add(self, address: str) -> None:
        """Count a failure of an address."""
        if get_settings().max_failed_logins_per_minute:
            self._seen(address)
            network = _network(address)
            if network in self._counts or len(self._counts) < MAX_ADDRESSES:
                self._counts[network] += 1

    def _seen(self, address: str) -> int:
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends = now + WINDOW_SECONDS
            self._counts.clear()
        return self._counts.get(_network(address), 0)


failures = Failures()


def read_token_from(address: str, token: object) -> Identity:
    """Verify an access token from an address, and count a failure.

    Raises:
        InvalidToken: 20101 to 20107.
        TooManyRequests: 20429, the address has failed too often.
    """
    failures.check(address)
    try:
        return verify_token(token)
    except InvalidToken:
        failures.add(address)
        raise


def _network(address: str) -> str:
    """Return the network of one host: an IPv4 address, or an IPv6 /64."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((IPv6Address(address.split("%")[0]), 64), strict=False))
    except ValueError:
        return address
