"""Databases: which one holds our tables, and how long to wait for it.

The host project's routers choose it, see
https://docs.djangoproject.com/en/stable/topics/db/multi-db/. On PostgreSQL we wait half
of ``broadcast_timeout_seconds`` for a lock on our tables (such as a migration's), which
leaves enough time to answer from the cache.
"""

import asyncio
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, sync_to_async
from channels.db import database_sync_to_async
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.models import Model, QuerySet

from sync_streams.conf import get_settings
from sync_streams.models import Stream

READ_ONLY = "25006"
"""SQLSTATE ``read_only_sql_transaction``.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""

P = ParamSpec("P")
T = TypeVar("T")
Row = TypeVar("Row", bound=Model)
View = TypeVar("View", bound=Callable[..., Any])


def written_alias() -> str:
    """Return the alias of the database to which our tables are written."""
    return router.db_for_write(Stream)


class Writes:
    """Whether the database took this process's latest change."""

    are_refused = False


writes = Writes()


@contextmanager
def atomic() -> Iterator[None]:
    """Change our tables in one transaction, or within the caller's."""
    try:
        with _bounded(written_alias()):
            yield
    except DatabaseError as error:
        # A duplicate, for example, is not a refusal.
        writes.are_refused = isinstance(error, OperationalError) or _is_read_only(error)
        raise
    writes.are_refused = False


def is_away(exception: Exception) -> bool:
    """Return whether the database cannot execute a query now, but may later."""
    away = OperationalError, InterfaceError
    return isinstance(exception, away) or _is_read_only(exception)


def _is_read_only(exception: BaseException) -> bool:
    # A PostgreSQL that became a standby or read-only; Django has no class for it.
    return getattr(exception.__cause__, "sqlstate", "") == READ_ONLY


@contextmanager
def reading(alias: str = "") -> Iterator[None]:
    """Read our tables. On PostgreSQL, bounding the wait takes a transaction.

    Args:
        alias: of the database; by default the one that the routers choose.
    """
    alias = alias or router.db_for_read(Stream)
    if connections[alias].vendor == "postgresql":
        with _bounded(alias):
            yield
    else:
        yield


def first(rows: QuerySet[Row]) -> Row | None:
    """Return the first of the rows, or ``None``.

    A row that was just written may not have reached a replica yet, so only the database
    to which our tables are written tells that there is none.
    """
    for alias in dict.fromkeys((rows.db, written_alias())):
        with reading(alias):
            row = rows.using(alias).first()
        if row is not None:
            return row
    return None


def on_commit(function: Callable[[], object]) -> None:
    """Call a function once the changes to our tables are committed."""
    transaction.on_commit(function, using=written_alias())


def in_use() -> frozenset[str]:
    """Return the aliases of the databases to which this thread has a connection."""
    known = connections.all(initialized_only=True)
    return frozenset(one.alias for one in known if one.connection is not None)


def release(kept: Container[str] = ()) -> None:
    """Return this thread's pooled connections, which others may be waiting for.

    For code of our own that is about to wait for Redis. Connections in a transaction
    are kept, as are those without a pool, which would have to be opened again.

    Args:
        kept: aliases of the databases whose connections belong to the caller.
    """
    for connection in connections.all(initialized_only=True):
        is_ours = connection.alias not in kept and not connection.in_atomic_block
        if is_ours and getattr(connection, "pool", None):
            connection.close()


def without_transaction(view: View) -> View:
    """Exempt a view from ``ATOMIC_REQUESTS`` of every database.

    An asynchronous view cannot run in such a transaction, which would also need the
    database for requests that otherwise do not.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


async def run(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a synchronous operation from async code, in a thread.

    It does not use the single thread that Channels shares, where one slow database call
    would hold up every connection. But if synchronous code waits for the caller, as
    Django does in an asynchronous test of a ``TestCase``, the operation runs in that
    waiting thread, whose transaction holds the caller's data.
    """
    if _is_waited_for():
        # Channels' own bridge would close the connection in mid-transaction.
        return await sync_to_async(operation)(*args, **kwargs)
    call = database_sync_to_async(operation, thread_sensitive=False)
    return await call(*args, **kwargs)


def _is_waited_for() -> bool:
    loop = asyncio.get_running_loop()
    is_in_waiting_task = getattr(AsyncToSync.executors, "current", None) is not None
    return is_in_waiting_task or loop in AsyncToSync.loop_thread_executors


@contextmanager
def _bounded(alias: str) -> Iterator[None]:
    connection = connections[alias]
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=alias):
        # The host project's own transactions keep their own lock timeout.
        if is_outermost and connection.vendor == "postgresql":
            milliseconds = int(get_settings().broadcast_timeout_seconds * 500)
            with connection.cursor() as cursor:
                # 0 would wait for ever.
                cursor.execute(f"SET LOCAL lock_timeout = {max(1, milliseconds)}")
        yield
