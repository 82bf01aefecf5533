"""Databases: which one holds our tables, and how we wait for it.

The host project's routers decide, see
https://docs.djangoproject.com/en/stable/topics/db/multi-db/. On PostgreSQL a lock that
somebody else holds on our tables, a migration's for example, is waited for half of
``broadcast_timeout_seconds``: then what is cached still is in time.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, sync_to_async
from channels.db import database_sync_to_async
from django.db import connections, router, transaction

from .conf import get_settings
from .models import Stream

P = ParamSpec("P")
T = TypeVar("T")
View = TypeVar("View", bound=Callable[..., Any])


def written_alias() -> str:
    """Return the alias of the database that our tables are written in."""
    return router.db_for_write(Stream)


@contextmanager
def atomic() -> Iterator[None]:
    """Change our tables in one transaction, or within the caller's."""
    with _bounded(written_alias()):
        yield


@contextmanager
def reading() -> Iterator[None]:
    """Read our tables; to bound the wait takes a transaction, on PostgreSQL."""
    alias = router.db_for_read(Stream)
    if connections[alias].vendor == "postgresql":
        with _bounded(alias):
            yield
    else:
        yield


def on_commit(function: Callable[[], object]) -> None:
    """Call a function once what was changed in our tables is committed."""
    transaction.on_commit(function, using=written_alias())


def without_transaction(view: View) -> View:
    """Keep ``ATOMIC_REQUESTS`` of every database away from a view.

    An asynchronous view cannot have such a transaction, and it would need the database
    for what works without.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


async def run(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a synchronous operation from async code, in a thread.

    Not in Channels' one thread for all: there, one slow database call would hold up
    every connection. But where synchronous code waits for the caller, as Django does
    for an asynchronous test of a ``TestCase``, in the thread that waits: its
    transaction holds what the caller relies on.
    """
    if _is_waited_for():
        # Not Channels' own: it would close the connection, in whatever transaction.
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
        # A transaction of the host project's own keeps its own patience.
        if is_outermost and connection.vendor == "postgresql":
            milliseconds = int(get_settings().broadcast_timeout_seconds * 500)
            with connection.cursor() as cursor:
                # 0 would be for ever.
                cursor.execute(f"SET LOCAL lock_timeout = {max(1, milliseconds)}")
        yield
