"""Services and Streams that were looked up a moment ago.

A publish need not ask the database who ``my-stream`` is each time. What was looked up
is kept for ``cache_seconds`` at most, and only while this process hears of removals
and changes by its hub: then what another process removes is gone here at once, too.

While the database is away nothing can change, so what was looked up last still holds,
and publishing to known Streams goes on. Whatever else needs the database is refused at
once, but for one look-up a second that finds out whether it is back.
"""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from django.db import InterfaceError, OperationalError

from sync_streams.conf import get_settings
from sync_streams.delivery import hub
from sync_streams.delivery.counters import counters
from sync_streams.delivery.events import Event, ServiceEvent
from sync_streams.errors import ServiceUnavailable, SyncError
from sync_streams.models import Service, Stream
from sync_streams.sids import is_sid

logger = logging.getLogger(__name__)

T = TypeVar("T")

AWAY_SECONDS = 1
"""Time for which a database that did not answer is left alone."""

KEPT = 1 / 2, 1
"""Share of ``cache_seconds``, between these, for which a lookup is kept."""

MAX_STREAMS = 10_000
"""Streams kept; above it the oldest lookup goes."""

MAX_SERVICES = 1_000
"""Services kept, by account and ref."""


@dataclass(slots=True)
class _Lookup:
    stream: Stream
    until: float
    gaps: int
    """How often this process had been deaf by then: a later time voids the lookup."""


class _Lookups:
    """Streams by SID, and the SIDs behind their unique names."""

    def __init__(self) -> None:
        self.changes = 0
        self._streams: OrderedDict[str, _Lookup] = OrderedDict()
        self._sids: dict[tuple[str, str], str] = {}
        self._lock = Lock()

    def get(self, service_sid: str, ref: str, *, since: float = 0) -> Stream | None:
        sid = ref if is_sid(ref) else self._sids.get((service_sid, ref), "")
        lookup = self._streams.get(sid)
        if lookup is None or lookup.until < since or lookup.gaps != counters.gaps:
            return None
        stream = lookup.stream
        return stream if stream.service_id == service_sid and stream.is_live() else None

    def keep(self, stream: Stream) -> None:
        until = _kept_until()
        with self._lock:
            self._streams[stream.sid] = _Lookup(stream, until, counters.gaps)
            if stream.unique_name:
                self._sids[stream.service_id, stream.unique_name] = stream.sid
            while len(self._streams) > MAX_STREAMS:
                self._drop(next(iter(self._streams)))

    def clear(self) -> None:
        with self._lock:
            self._streams.clear()
            self._sids.clear()

    def drop(self, stream_sid: str) -> None:
        with self._lock:
            self._drop(stream_sid)

    def _drop(self, stream_sid: str) -> None:
        lookup = self._streams.pop(stream_sid, None)
        if lookup is not None and lookup.stream.unique_name:
            stream = lookup.stream
            self._sids.pop((stream.service_id, str(stream.unique_name)), None)


def _kept_until() -> float:
    # Streams looked up together, after a start or a gap, are not looked up together
    # ever after: a hundred at once would hold up the next Messages.
    seconds = get_settings().cache_seconds
    return time.monotonic() + seconds * random.uniform(*KEPT)  # noqa: S311 - spread


_lookups = _Lookups()
_services: dict[tuple[str, str], tuple[Service, float]] = {}
_away_until = 0.0


def cached_service(account_sid: str, ref: str) -> Service | None:
    """Return the account's Service that was looked up a moment ago, if any."""
    service, until = _services.get((account_sid, ref), (None, 0.0))
    is_recent = time.monotonic() <= until and hub.is_listening()
    return service if is_recent else None


def look_up_service(
    account_sid: str, ref: str, fetch: Callable[[], Service]
) -> Service:
    """Return the account's recent Service, or *fetch* it and keep it for a moment."""
    service = cached_service(account_sid, ref)
    if service is not None:
        return service
    changes, until = _lookups.changes, _kept_until()
    kept, _ = _services.get((account_sid, ref), (None, 0.0))
    service = _ask(fetch, kept if hub.is_listening() else None)
    if changes == _lookups.changes and hub.is_listening():
        if len(_services) >= MAX_SERVICES:
            _services.clear()
        _services[account_sid, ref] = service, until
    return service


def forget_services() -> None:
    """Forget all Services, and Streams with them: one has changed, which is rare.

    A process that begins to listen did not hear of what changed before, either.
    """
    _lookups.changes += 1
    _services.clear()
    _lookups.clear()


def cached_stream(service_sid: str, ref: str) -> Stream | None:
    """Return the live Stream that was looked up under *ref* a moment ago, if any."""
    if not hub.is_listening():
        return None
    return _lookups.get(service_sid, ref, since=time.monotonic())


def look_up_stream(service_sid: str, ref: str, fetch: Callable[[], Stream]) -> Stream:
    """Return the recent Stream under *ref*, or *fetch* it and keep it for a moment."""
    stream = cached_stream(service_sid, ref)
    if stream is not None:
        return stream
    changes = _lookups.changes
    kept = _lookups.get(service_sid, ref) if hub.is_listening() else None
    stream = _ask(fetch, kept)
    # What changed while the database was asked may have changed this Stream.
    if changes == _lookups.changes and hub.is_listening():
        _lookups.keep(stream)
    return stream


def _ask(fetch: Callable[[], T], kept: T | None) -> T:
    global _away_until
    away_until, now = _away_until, time.monotonic()
    if now >= away_until:
        # Of those who ask a database that was away, one waits for the answer.
        _away_until = now + AWAY_SECONDS if away_until else 0.0
        try:
            found = fetch()
        except (OperationalError, InterfaceError) as error:
            logger.warning("database failed: %r", error)
            _away_until = time.monotonic() + AWAY_SECONDS
        except SyncError:
            _away_until = 0.0
            raise
        else:
            _away_until = 0.0
            return found
    if kept is None:
        raise ServiceUnavailable
    return kept


def forget_stream(stream_sid: str) -> None:
    """Forget a Stream: it has changed or is gone."""
    _lookups.changes += 1
    _lookups.drop(stream_sid)


def _hear(event: Event) -> None:
    forget_stream(event["stream_sid"])


async def _hear_of_service(_: hub.Hub, __: ServiceEvent) -> None:
    forget_services()


hub.companions.append(forget_services)
hub.listeners.append(_hear)
hub.handlers["service.changed"] = _hear_of_service
