"""Operations on Services, Streams and Messages: the only place that decides.

Every adapter (REST, sockets, admin, commands) translates its input, calls one function
here and translates the result. The functions are synchronous and raise
:class:`~sync_streams.errors.SyncError`; :func:`apublish` is the one twin for async
code, because a Message over a socket may not cost a thread, and :func:`publish_now`
does not even wait. Changes are announced once
they are committed.
"""

from .connections import disconnect_identity, drain_process
from .messages import afind_service, apublish, publish, publish_now
from .services import (
    create_service,
    find_service,
    get_service,
    list_services,
    list_watched_services,
    remove_service,
    try_webhook,
    update_service,
)
from .streams import (
    EXPIRY_BATCH,
    create_stream,
    expire_streams,
    find_stream,
    get_stream,
    list_streams,
    occupancy,
    open_stream,
    remove_stream,
    update_stream,
)

__all__ = [
    "EXPIRY_BATCH",
    "afind_service",
    "apublish",
    "create_service",
    "create_stream",
    "disconnect_identity",
    "drain_process",
    "expire_streams",
    "find_service",
    "find_stream",
    "get_service",
    "get_stream",
    "list_services",
    "list_streams",
    "list_watched_services",
    "occupancy",
    "open_stream",
    "publish",
    "publish_now",
    "remove_service",
    "remove_stream",
    "try_webhook",
    "update_service",
    "update_stream",
]
