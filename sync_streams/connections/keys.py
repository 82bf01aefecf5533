"""Keys: closes the connections of an API key soon after the key is removed.

There is no notification when a project's accounts change, so each process checks once a
second every key that signed a connection's token.
"""

import asyncio
import logging
from typing import Protocol

from sync_streams.processes.per_loop import PerLoop
from sync_streams.tokens import Identity, has_key

from .close_codes import CloseCode

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1
"""Time between two checks of the keys."""

CLOSED_TOGETHER = 50
"""Connections that are closed in one go before other tasks run."""


class Holder(Protocol):
    """The part of a connection that is needed here."""

    def close_soon(self, code: CloseCode) -> None:
        """Close the connection."""


class Keys:
    """The key that each connection of an event loop depends on."""

    def __init__(self) -> None:
        """Set up for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._holders: dict[tuple[str, str], set[Holder]] = {}
        self._identities: dict[Holder, Identity] = {}
        self._is_checking = self._has_failed = False

    def hold(self, holder: Holder, identity: Identity) -> None:
        """Make a connection depend on the key that signed its token."""
        self.drop(holder)
        self._identities[holder] = identity
        self._holders.setdefault(_key(identity), set()).add(holder)
        if not self._is_checking:
            self._is_checking = True
            self._loop.call_later(CHECK_SECONDS, self._check)

    def drop(self, holder: Holder) -> None:
        """Forget a connection."""
        identity = self._identities.pop(holder, None)
        if identity is not None:
            holders = self._holders[_key(identity)]
            holders.discard(holder)
            if not holders:
                del self._holders[_key(identity)]

    def _check(self) -> None:
        self._is_checking = bool(self._holders)
        if self._is_checking:
            self._loop.call_later(CHECK_SECONDS, self._check)
        for holders in tuple(self._holders.values()):
            if not self._exists(self._identities[next(iter(holders))]):
                self._close(list(holders))

    def _exists(self, identity: Identity) -> bool:
        try:
            exists = has_key(identity)
        except Exception as error:
            # The project's function for accounts may raise anything. That closes no
            # connection, and is logged once rather than each second.
            if not self._has_failed:
                logger.warning("ACCOUNTS cannot be read: %r", error)
            self._has_failed = True
            return True
        self._has_failed = False
        return exists

    def _close(self, holders: list[Holder]) -> None:
        for holder in holders[:CLOSED_TOGETHER]:
            holder.close_soon(CloseCode.TOKEN_INVALID)
        if later := holders[CLOSED_TOGETHER:]:
            self._loop.call_soon(self._close, later)


def _key(identity: Identity) -> tuple[str, str]:
    return identity.account_sid, identity.key_sid


_by_loop = PerLoop(Keys)


def keys() -> Keys:
    """Return the keys of the running event loop."""
    return _by_loop.get()
