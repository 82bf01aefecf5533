"""Bookkeeping: tells everything concerned when a connection starts and ends.

These are functions, not an object that each connection holds: the two would refer to
each other, and only a garbage collection would free them.
"""

from sync_streams.delivery.meters import meters
from sync_streams.delivery.subscriptions import Subscriptions
from sync_streams.models import Service
from sync_streams.tokens import Identity

from .census import Key, census
from .close_codes import CloseCode
from .keys import keys
from .registry import Connection, connections

MAX_CLIENT_LENGTH = 80
"""Maximum length of a client's own name for itself."""


def note_opened(connection: Connection) -> None:
    """Record a new connection."""
    connections.add(connection)
    meters.count("connections_opened", connection.transport)


def note_recipient(
    connection: Connection, service: Service, name: str, identity: Identity | None
) -> list[Key]:
    """Count a connection's recipient, and make it depend on the key of its token.

    Args:
        connection: the connection.
        service: the Service of its Streams.
        name: the recipient's; may be empty.
        identity: the recipient, if an access token names it.

    Returns:
        The argument for :func:`note_closed`.

    Raises:
        TooManyRequests: 20429, there are too many of this recipient, account or
            address.
    """
    counted = census.enter(name, service, connection.address)
    if identity is not None:
        keys().hold(connection, identity)
    return counted


def note_closed(
    connection: Connection,
    subscriptions: Subscriptions,
    counted: list[Key],
    code: CloseCode | None,
) -> None:
    """Forget a connection everywhere; *code*: why we closed it, if we did."""
    connections.discard(connection)
    reason = "client" if code is None else str(int(code))
    meters.count("connections_closed", connection.transport, reason)
    keys().drop(connection)
    census.leave(counted)
    subscriptions.forget(connection.outbox)
