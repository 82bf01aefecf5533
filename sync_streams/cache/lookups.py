"""Cache of Services and Streams.

It saves a database query for each publish. Entries are kept for at most
``cache_seconds``, and only while this process is receiving removals and changes, so
that a removal in another process takes effect here immediately, too.
"""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from django.db import connections, router

from sync_streams.conf import get_settings
from sync_streams.models import Service, Stream
from sync_streams.processes.background import new_lock

from .breaker import Breaker

KEPT = 1 / 2, 1
"""Range of the share of ``cache_seconds`` for which an entry is kept."""

MAX_STREAMS = 10_000
"""Limit of cached Streams; above it the oldest is dropped."""

MAX_SERVICES = 1_000
"""Limit of cached Services, by account and ref."""


@dataclass(slots=True)
class _Entry:
    stream: Stream
    until: float
    """When it has to be fetched again, on the monotonic clock."""
    expires: float
    """When the Stream expires, in seconds since 1970."""


class _Streams:
    """Streams by SID, and SIDs by unique name."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._sids: dict[tuple[str, str], str] = {}
        self._lock = new_lock()

    def get(self, service_sid: str, ref: str, *, since: float = 0) -> Stream | None:
        # No unique name looks like a SID.
        entry = self._entries.get(self._sids.get((service_sid, ref), ref))
        if entry is None or entry.until < since or entry.expires <= time.time():
            return None
        return entry.stream if entry.stream.service_id == service_sid else None

    def keep(self, stream: Stream) -> None:
        expires = stream.date_expires.timestamp() if stream.date_expires else inf
        with self._lock:
            self._entries[stream.sid] = _Entry(stream, _kept_until(), expires)
            if stream.unique_name:
                self._sids[stream.service_id, stream.unique_name] = stream.sid
            while len(self._entries) > MAX_STREAMS:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._sids.clear()

    def drop(self, stream_sid: str) -> None:
        with self._lock:
            self._drop(stream_sid)

    def _drop(self, stream_sid: str) -> None:
        entry = self._entries.pop(stream_sid, None)
        if entry is not None and entry.stream.unique_name:
            stream = entry.stream
            self._sids.pop((stream.service_id, str(stream.unique_name)), None)


def _kept_until() -> float:
    # Jitter: Streams fetched together, after a start or a gap, must not keep expiring
    # together. Fetching a hundred at once would delay the next Messages.
    seconds = get_settings().cache_seconds
    return time.monotonic() + seconds * random.uniform(*KEPT)  # noqa: S311 - no secret


def _never() -> bool:
    return False


def _nothing() -> None:
    return


class _State:
    is_told: Callable[[], bool] = staticmethod(_never)
    ask_to_be_told: Callable[[], None] = staticmethod(_nothing)
    changes = 0
    fetched = 0
    lock = new_lock()
    """Held to count a change, and to store what was fetched if there was none."""


_state = _State()
_streams = _Streams()
_services: dict[tuple[str, str], tuple[Service, float]] = {}
_breaker = Breaker()


def keep_while(is_told: Callable[[], bool], ask_to_be_told: Callable[[], None]) -> None:
    """Use the cache only while this process is receiving changes.

    Args:
        is_told: returns whether it is.
        ask_to_be_told: called if it is not, but would benefit: it has queried the
            database for a Stream more than once. Must not wait.
    """
    _state.is_told, _state.ask_to_be_told = is_told, ask_to_be_told


def cached_service(account_sid: str, ref: str) -> Service | None:
    """Return the account's cached Service, if any."""
    service, until = _services.get((account_sid, ref), (None, 0.0))
    is_recent = time.monotonic() <= until and _state.is_told()
    return service if is_recent else None


def last_service(account_sid: str, ref: str) -> Service | None:
    """Return the last cached Service, for when the database does not respond."""
    service, _ = _services.get((account_sid, ref), (None, 0.0))
    return service if _state.is_told() else None


def look_up_service(
    account_sid: str, ref: str, fetch: Callable[[], Service]
) -> Service:
    """Return the account's cached Service, or *fetch* and cache it."""
    service = cached_service(account_sid, ref)
    if service is not None:
        return service
    changes, until = _state.changes, _kept_until()
    service = _breaker.call(fetch, last_service(account_sid, ref))
    if _may_keep():
        with _state.lock:
            # A change during the query may concern the fetched row.
            if changes == _state.changes:
                if len(_services) >= MAX_SERVICES:
                    _services.clear()
                _services[account_sid, ref] = service, until
    return service


def cached_stream(service_sid: str, ref: str) -> Stream | None:
    """Return the cached live Stream under *ref*, if any."""
    if not _state.is_told():
        return None
    return _streams.get(service_sid, ref, since=time.monotonic())


def last_stream(service_sid: str, ref: str) -> Stream | None:
    """Return the last cached live Stream; see :func:`last_service`."""
    return _streams.get(service_sid, ref) if _state.is_told() else None


def look_up_stream(service_sid: str, ref: str, fetch: Callable[[], Stream]) -> Stream:
    """Return the cached Stream under *ref*, or *fetch* and cache it."""
    stream = cached_stream(service_sid, ref)
    if stream is not None:
        return stream
    changes = _state.changes
    stream = _breaker.call(fetch, last_stream(service_sid, ref))
    if _may_keep():
        with _state.lock:
            if changes == _state.changes:
                _streams.keep(stream)
    _state.fetched += 1
    if _state.fetched > 1 and not _state.is_told():
        _state.ask_to_be_told()
    return stream


def _may_keep() -> bool:
    # A row read within a transaction may be rolled back, which is not announced.
    return (
        _state.is_told() and not connections[router.db_for_read(Stream)].in_atomic_block
    )


def note_slow_database(seconds: float) -> None:
    """Record that the database did not answer a caller within that time."""
    _breaker.note_slow(seconds)


def forget_stream(stream_sid: str) -> None:
    """Forget a Stream that was changed or removed."""
    with _state.lock:
        _state.changes += 1
        _streams.drop(stream_sid)


def forget_after_fork() -> None:
    """Reset in a forked child, which does not receive changes yet."""
    global _streams, _breaker
    _streams, _breaker = _Streams(), Breaker()
    _services.clear()
    # Another thread may have held the old lock at the time of the fork.
    _state.fetched, _state.lock = 0, new_lock()


def forget_all() -> None:
    """Forget everything: a Service was changed, or changes may have been missed."""
    with _state.lock:
        _state.changes += 1
        _services.clear()
        _streams.clear()
