"""Publishing from the host project's own code: views, tasks, threads, commands.

Names are enough here; :mod:`sync_streams.operations` has everything else. A Message
cannot be taken back: in a transaction publish once it is committed, by
``transaction.on_commit(partial(publish, …))``.
"""

from django.core.exceptions import ImproperlyConfigured

from . import operations
from .conf import get_settings
from .models import DEFAULT_SERVICE, SYSTEM
from .operations.actor import Actor
from .operations.data import Message


def publish(
    stream: str,
    data: object,
    *,
    service: str = DEFAULT_SERVICE,
    account_sid: str = "",
    identity: str = SYSTEM,
) -> Message:
    """Publish *data* to a Stream from synchronous code.

    Args:
        stream: SID or unique name of the Stream.
        data: a JSON object of at most 4,096 bytes as compact UTF-8 JSON.
        service: SID or unique name of its Service.
        account_sid: the account; by default the first one in the settings.
        identity: who publishes, as signals and webhooks say it.

    Returns:
        The Message with its new SID (``TZ…``). It is not stored.

    Raises:
        ServiceNotFound: 54050.
        SyncError: as :func:`sync_streams.operations.publish` does.
        SynchronousOnlyOperation: called from async code, which has :func:`apublish`.
    """
    known = operations.find_service(account_sid or first_account(), service)
    return operations.publish(known, stream, data, actor=Actor(identity))


async def apublish(
    stream: str,
    data: object,
    *,
    service: str = DEFAULT_SERVICE,
    account_sid: str = "",
    identity: str = SYSTEM,
) -> Message:
    """Do as :func:`publish` does, from async code."""
    known = await operations.afind_service(account_sid or first_account(), service)
    return await operations.apublish(known, stream, data, actor=Actor(identity))


def first_account() -> str:
    """Return the SID of the first account in the settings.

    Raises:
        ImproperlyConfigured: there is none.
    """
    for account_sid in get_settings().accounts:
        return account_sid
    raise ImproperlyConfigured('SYNC_STREAMS["ACCOUNTS"] is empty.')
