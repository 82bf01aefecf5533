"""Publishing from the host project's own code: views, tasks, threads, commands.

These functions take names; :mod:`sync_streams.operations` has everything else. A
Message cannot be recalled: use :func:`publish_on_commit` within a transaction.
"""

import logging
from functools import partial
from typing import TypedDict, Unpack

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from . import operations
from .conf import get_settings
from .delivery.meters import meters
from .errors import SyncError, UniqueNameNotFound
from .models import DEFAULT_SERVICE, SYSTEM
from .operations import databases
from .operations.actor import Actor
from .operations.data import Message

logger = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """Options of :func:`publish`."""

    service: str
    account_sid: str
    identity: str
    create: bool


def publish(
    stream: str,
    data: object,
    *,
    service: str = DEFAULT_SERVICE,
    account_sid: str = "",
    identity: str = SYSTEM,
    create: bool = False,
) -> Message:
    """Publish *data* to a Stream from synchronous code.

    Args:
        stream: SID or unique name of the Stream.
        data: a JSON object of at most 4,096 bytes as compact UTF-8 JSON.
        service: SID or unique name of its Service.
        account_sid: the account; by default the first one in the settings.
        identity: the publisher's identity in signals and webhooks.
        create: create the Stream if none has that unique name; it never expires.

    While Redis does not respond, this takes up to ``broadcast_timeout_seconds``. A
    pooled database connection that the caller has open is kept for that time; one that
    was opened to find the Stream is returned first.

    Returns:
        The Message with its new SID (``TZ…``). It is not stored.

    Raises:
        ServiceNotFound: 54050.
        InvalidUniqueName: 54302, no Stream can have that name.
        SyncError: see :func:`sync_streams.operations.publish`.
        SynchronousOnlyOperation: called from async code, which has :func:`apublish`.
    """
    actor, callers = Actor(identity), databases.in_use()
    known = operations.find_service(account_sid or first_account(), service)

    def publish_it() -> Message:
        # What the caller has opened may have a cursor or settings of the caller's.
        release = partial(databases.release, callers)
        return operations.publish(
            known, stream, data, actor=actor, before_broadcast=release
        )

    try:
        return publish_it()
    except UniqueNameNotFound:
        if not create:
            raise
    operations.obtain_stream(known, stream, actor=actor)
    return publish_it()


async def apublish(
    stream: str,
    data: object,
    *,
    service: str = DEFAULT_SERVICE,
    account_sid: str = "",
    identity: str = SYSTEM,
    create: bool = False,
) -> Message:
    """Async version of :func:`publish`."""
    actor = Actor(identity)
    known = await operations.afind_service(account_sid or first_account(), service)
    try:
        return await operations.apublish(known, stream, data, actor=actor)
    except UniqueNameNotFound:
        if not create:
            raise
    await operations.aobtain_stream(known, stream, actor=actor)
    return await operations.apublish(known, stream, data, actor=actor)


def try_publish(
    stream: str, data: object, **options: Unpack[Options]
) -> Message | None:
    """Publish as :func:`publish` does, but never raise.

    A failure is logged and counted: ``sync_streams_publishes_given_up``. While Redis or
    the database does not respond, this takes up to ``broadcast_timeout_seconds``.

    Returns:
        The Message, or ``None`` if it was not published.
    """
    try:
        return publish(stream, data, **options)
    except Exception as error:
        _give_up(stream, error)
        return None


async def atry_publish(
    stream: str, data: object, **options: Unpack[Options]
) -> Message | None:
    """Async version of :func:`try_publish`."""
    try:
        return await apublish(stream, data, **options)
    except Exception as error:
        _give_up(stream, error)
        return None


def publish_on_commit(
    stream: str,
    data: object,
    *,
    using: str | None = None,
    **options: Unpack[Options],
) -> None:
    """Publish once the caller's transaction is committed; outside of one, immediately.

    By then the data is saved, so a failure to publish must not fail the request: it is
    logged and counted, as by :func:`try_publish`. A rollback publishes nothing.

    Args:
        stream: SID or unique name of the Stream.
        data: a JSON object; do not change it before the commit.
        using: the database of the transaction; by default ``default``.
        **options: ``service``, ``account_sid``, ``identity`` and ``create``; see
            :func:`publish`.
    """
    send = partial(try_publish, stream, data, **options)
    transaction.on_commit(send, using=using, robust=True)


def first_account() -> str:
    """Return the SID of the first account in the settings.

    Raises:
        ImproperlyConfigured: there is none.
    """
    for account_sid in get_settings().accounts:
        return account_sid
    raise ImproperlyConfigured('SYNC_STREAMS["ACCOUNTS"] is empty.')


def _give_up(stream: str, error: Exception) -> None:
    if isinstance(error, SyncError):
        meters.count("publishes_given_up", str(error.code))
        logger.warning("not published to %r: %s %s", stream, error.code, error)
    else:
        meters.count("publishes_given_up", "failed")
        logger.error("not published to %r", stream, exc_info=error)
