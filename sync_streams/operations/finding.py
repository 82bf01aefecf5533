"""Finding Services and Streams from async code: in the cache, or in a thread."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import ParamSpec, TypeVar

from sync_streams.cache.lookups import (
    cached_service,
    cached_stream,
    last_service,
    last_stream,
    note_slow_database,
)
from sync_streams.conf import get_settings
from sync_streams.delivery.meters import meters
from sync_streams.errors import ServiceUnavailable, UniqueNameNotFound
from sync_streams.models import Service, Stream
from sync_streams.operations.databases import run

from .actor import SYSTEM_ACTOR, Actor
from .services import find_service
from .streams import find_stream, obtain_stream

P = ParamSpec("P")
T = TypeVar("T")


async def afind_service(account_sid: str, ref: str) -> Service:
    """Async version of :func:`find_service`.

    Raises:
        ServiceNotFound: 54050.
        ServiceUnavailable: 20503, the database did not respond in time.
    """
    service = cached_service(account_sid, ref)
    if service is None:
        kept = last_service(account_sid, ref)
        service = await _find_in_time(kept, find_service, account_sid, ref)
    return service


async def afind_stream(service: Service, ref: str) -> Stream:
    """Async version of :func:`find_stream`.

    Raises:
        StreamNotFound: 54250.
        UniqueNameNotFound: 54300.
        ServiceUnavailable: 20503, the database did not respond in time.
    """
    stream = cached_stream(service.sid, ref)
    if stream is None:
        kept = last_stream(service.sid, ref)
        stream = await _find_in_time(kept, find_stream, service, ref)
    return stream


async def aobtain_stream(
    service: Service, unique_name: str, *, actor: Actor = SYSTEM_ACTOR
) -> Stream:
    """Return the live Stream of that unique name; create it if there is none.

    Raises:
        SyncError: as :func:`obtain_stream`.
        ServiceUnavailable: 20503, the database did not answer in time.
    """
    try:
        return await afind_stream(service, unique_name)
    except UniqueNameNotFound:
        obtain = partial(obtain_stream, actor=actor)
        return await _find_in_time(None, obtain, service, unique_name)


async def _find_in_time(
    kept: T | None, find: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    started, seconds = perf_counter(), get_settings().broadcast_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            return await run(find, *args, **kwargs)
    except TimeoutError as error:
        note_slow_database(seconds)
        # It may still be waiting for a database connection: use the cached object.
        if kept is None:
            raise ServiceUnavailable from error
        return kept
    finally:
        meters.observe("database_seconds", perf_counter() - started)
