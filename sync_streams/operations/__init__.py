"""Operations on Services, Streams and Messages: the only place for decisions.

Every transport (REST, sockets, admin, commands) parses its input, calls one function
here and renders the result. The functions are synchronous and raise
:class:`~sync_streams.errors.SyncError`. Names that start with ``a`` are async versions
of those that must not cost a thread for each call; :func:`start_publish` does not
wait at all. Changes are announced once they are committed.
"""

from .connections import disconnect_identity, drain_process, list_connections
from .finding import afind_service, afind_stream, aobtain_stream
from .messages import apublish, publish, start_publish
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
    obtain_stream,
    occupancy,
    open_stream,
    remove_stream,
    update_stream,
)

__all__ = [
    "EXPIRY_BATCH",
    "afind_service",
    "afind_stream",
    "aobtain_stream",
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
    "list_connections",
    "list_services",
    "list_streams",
    "list_watched_services",
    "obtain_stream",
    "occupancy",
    "open_stream",
    "publish",
    "remove_service",
    "remove_stream",
    "start_publish",
    "try_webhook",
    "update_service",
    "update_stream",
]
