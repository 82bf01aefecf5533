"""Shares: how much of a process's capacity one account or Service may use."""

import asyncio
from collections import Counter

from sync_streams.conf import get_settings
from sync_streams.processes.background import new_lock

MAX_IN_FLIGHT = 512
"""Webhooks of all accounts in flight at once; each may hold a socket."""

MIN_IN_FLIGHT = 16
"""Webhooks that each account may have in flight, however many accounts there are."""


class Queue:
    """Counts waiting items by account and Service; from any thread.

    An account may take as many places as are still free: a single account at most half
    of them, *n* accounts at most 1/(*n* + 1) each. That always leaves room for another
    account, whatever the others do. (Dynamic thresholds:
    https://doi.org/10.1109/90.664262.)
    """

    def __init__(self, places: int) -> None:
        """Create an empty queue.

        Args:
            places: for all accounts together.
        """
        self._places = places
        self._lock = new_lock()
        self._services: Counter[str] = Counter()
        self._accounts: Counter[str] = Counter()

    def take(self, account_sid: str, service_sid: str, limit: int) -> bool:
        """Take a place if both the account and the Service may have one more.

        Args:
            account_sid: the account.
            service_sid: its Service.
            limit: places that the Service may take.
        """
        with self._lock:
            free = self._places - self._accounts.total()
            if (
                self._accounts[account_sid] >= free
                or self._services[service_sid] >= limit
            ):
                return False
            self._accounts[account_sid] += 1
            self._services[service_sid] += 1
            return True

    def give_back(self, account_sid: str, service_sid: str) -> None:
        """Return a place."""
        with self._lock:
            _count_down(self._accounts, account_sid)
            _count_down(self._services, service_sid)

    def __len__(self) -> int:
        """Return how many places are taken."""
        return self._accounts.total()


class Flights:
    """Counts each account's webhooks in flight; on one event loop."""

    def __init__(self) -> None:
        self._slices: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    async def begin(self, account_sid: str) -> None:
        """Wait until the account may have one more in flight."""
        self._users[account_sid] += 1
        if account_sid not in self._slices:
            self._slices[account_sid] = asyncio.Semaphore(_share())
        try:
            await self._slices[account_sid].acquire()
        except asyncio.CancelledError:
            self._forget(account_sid)
            raise

    def end(self, account_sid: str) -> None:
        """Let the account have another one in flight."""
        self._slices[account_sid].release()
        self._forget(account_sid)

    def _forget(self, account_sid: str) -> None:
        _count_down(self._users, account_sid)
        if account_sid not in self._users:
            del self._slices[account_sid]


def _share() -> int:
    return max(MIN_IN_FLIGHT, MAX_IN_FLIGHT // max(1, len(get_settings().accounts)))


def _count_down(counts: Counter[str], sid: str) -> None:
    counts[sid] -= 1
    if not counts[sid]:
        del counts[sid]
