"""Failed logins by address: who fails too often is not even asked any more.

Counts what carries no valid credentials, over REST and sockets alike, in this process
and for a minute. Off by default (``max_failed_logins_per_minute``), since a server
behind a proxy that forwards no addresses sees one address for everybody.
"""

import time
from collections import Counter
from ipaddress import IPv6Address, ip_network

from sync_streams.conf import get_settings
from sync_streams.errors import InvalidToken, TooManyRequests
from sync_streams.tokens import Identity, read_token

WINDOW_SECONDS = 60
MAX_ADDRESSES = 10_000
"""Addresses that are counted; more of them in a minute are not."""


class Failures:
    """How often each address has failed in this minute."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._window_ends = 0.0

    def check(self, address: str) -> None:
        """Refuse an address that has failed too often.

        Raises:
            TooManyRequests: 20429, as often as ``max_failed_logins_per_minute``.
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
    """Verify an access token that came from an address, and count it if it fails.

    Raises:
        InvalidToken: 20101 to 20107.
        TooManyRequests: 20429, the address has failed too often.
    """
    failures.check(address)
    try:
        return read_token(token)
    except InvalidToken:
        failures.add(address)
        raise


def _network(address: str) -> str:
    """Return what one host has: an IPv4 address, or 64 bits of IPv6."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((IPv6Address(address.split("%")[0]), 64), strict=False))
    except ValueError:
        return address
