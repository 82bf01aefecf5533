"""What both socket protocols share: identity, subscriptions, and their timers.

An adapter derives from :class:`SubscriberConsumer`, parses the frames of its protocol,
calls the methods here or an operation, and puts the replies into its outbox.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from sync_streams import operations
from sync_streams.cache.lookups import cached_service
from sync_streams.conf import get_settings
from sync_streams.delivery.hub import get_hub
from sync_streams.errors import (
    InternalError,
    ServiceUnavailable,
    SyncError,
    TokenMismatch,
)
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.announcements import EndpointChange, announce_endpoint
from sync_streams.operations.databases import is_away
from sync_streams.operations.failures import read_token_from
from sync_streams.tokens import Identity, read_token
from sync_streams.values.accounts import hide

from .bookkeeping import (
    MAX_CLIENT_LENGTH,
    note_closed,
    note_opened,
    note_recipient,
)
from .close_codes import CloseCode
from .consumer import SocketConsumer, State
from .keys import keys
from .registry import connections
from .subscribing import subscribe, subscribe_now

logger = logging.getLogger(__name__)

ABOUT_TO_EXPIRE_SECONDS = 180
"""How long before a token expires the client is told (Twilio: 3 minutes)."""

MAX_REFUSALS = 1
"""Refused tokens that a connection survives: an SDK may first send a cached one that
has expired. The JSON socket closes at the first invalid one."""

BUSY_STATUSES = frozenset({429, 503})
"""Statuses of errors after which the same token may be accepted later."""


class SubscriberConsumer(SocketConsumer):
    """One connection: its identity, its subscriptions, and its token's expiry."""

    transport: ClassVar[str]
    """Name of the protocol in metrics."""

    protocol_name: ClassVar[str]
    """Name of the protocol shown to operators."""

    def begin(self) -> None:
        """Set up the state of an unauthenticated connection."""
        super().begin()
        self.hub = get_hub()
        self.identity: Identity | None = None
        self.service: Service | None = None
        self.actor = Actor("", self.outbox.connection_id)
        """This connection as the actor of its requests."""
        self.since, self.client = time.time(), ""
        self._refusals = 0
        self._counted: list[tuple[str, ...]] = []
        note_opened(self)

    def end(self) -> None:
        """Also end the subscriptions, and announce that the identity disconnected."""
        note_closed(self, self.hub.subscriptions, self._counted, self.closed_with)
        super().end()
        self._announce("disconnected")

    def tell_token_about_to_expire(self) -> None:
        """Tell the client that its token expires in 3 minutes; the adapter's."""
        raise NotImplementedError

    @property
    def identity_name(self) -> str:
        """The access token's identity; empty until the client has authenticated."""
        return self.identity.name if self.identity else ""

    @property
    def address(self) -> str:
        """The client's IP address, or the server's best knowledge of it."""
        return str((self.scope.get("client") or [""])[0])

    def call_client(self, name: str) -> None:
        """Keep the client's own name for itself, for operators."""
        self.client = name[:MAX_CLIENT_LENGTH]

    async def authenticate(self, token: object) -> Identity:
        """Authenticate the connection; a second refused token closes it at the latest.

        Raises:
            TooManyRequests: 20429, the process accepts no more connections, or no more
                of this identity, account or address.
            InvalidToken: 20101 to 20107.
            ServiceNotFound: 54050, the token's Service does not exist.
            ServiceUnavailable: 20503, the channel layer does not respond.
        """
        token = hide(token)  # error reports show variables
        with self._counting_refusals():
            identity = read_token_from(self.address, token)
            # Count only clients with a valid token: otherwise sockets without one could
            # use up the rate and lock everyone out.
            connections.accept_newcomer()
            account_sid, ref = identity.account_sid, identity.service_ref
            service = await operations.afind_service(account_sid, ref)
            await self.hub.start()
            self._enter(identity, service)
        return identity

    def authenticate_now(self, token: object) -> Identity | None:
        """Authenticate the connection, if that is possible without waiting.

        Returns:
            The identity, or ``None`` if nothing was done: call :meth:`authenticate`.

        Raises:
            SyncError: as :meth:`authenticate`.
        """
        token = hide(token)
        with self._counting_refusals():
            identity = read_token_from(self.address, token)
            service = cached_service(identity.account_sid, identity.service_ref)
            if service is None or not self.hub.is_started:
                return None
            connections.accept_newcomer()
            self._enter(identity, service)
        return identity

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except SyncError as error:
            self._refusals += 1
            if self._refusals > MAX_REFUSALS:
                self.close_soon(refusal_code(error))
            raise

    def _enter(self, identity: Identity, service: Service) -> None:
        self._counted = note_recipient(self, service, identity.name, identity)
        self.service = service
        self._identify(identity)
        if self.state is State.CONNECTING:
            self.state = State.OPEN
        self.outbox.is_observer = identity.is_observer
        self.inbound.raise_for_token()
        self.timers.cancel("connect")
        self.timers.cancel("refused")
        self._keep_alive()
        self._announce("connected")

    async def renew(self, token: object) -> Identity:
        """Replace the token with a new one for the same identity and Service.

        Raises:
            InvalidToken: 20101 to 20107; 51215 for another identity or Service.
        """
        token = hide(token)
        identity, known = read_token(token), self.identity
        if known is None or self.service is None:
            raise TokenMismatch
        if (identity.name, identity.account_sid) != (known.name, known.account_sid):
            raise TokenMismatch
        names = {known.service_ref, self.service.sid, self.service.unique_name}
        if identity.service_ref not in names:
            raise TokenMismatch
        self._identify(identity)
        keys().hold(self, identity)
        return identity

    async def subscribe(self, stream: Stream) -> None:
        """Deliver a Stream's Messages to this connection from now on.

        Raises:
            TooManySubscriptions: 54419.
            AccessForbidden: 54007.
            StreamNotFound: 54250, it was removed meanwhile.
            ServiceUnavailable: 20503, the channel layer does not respond.
        """
        await subscribe(self.hub.subscriptions, self.outbox, stream, self.actor)

    def subscribe_now(self, stream: Stream) -> bool:
        """Subscribe to a Stream that this process already receives, without waiting.

        Returns:
            Whether that was possible; if not, nothing was done.

        Raises:
            TooManySubscriptions: 54419.
        """
        return subscribe_now(self.hub.subscriptions, self.outbox, stream, self.actor)

    def unsubscribe(self, stream_sid: str) -> None:
        """Stop delivering a Stream's Messages to this connection."""
        self.hub.subscriptions.unsubscribe(self.outbox, stream_sid)

    def _announce(self, change: EndpointChange) -> None:
        if self.service is not None and not self.outbox.is_observer:
            announce_endpoint(change, self.service, self.actor)

    def _identify(self, identity: Identity) -> None:
        self.identity = identity
        self.actor = Actor(
            identity.name,
            self.outbox.connection_id,
            is_read_only=identity.is_read_only,
            is_observer=identity.is_observer,
            transport=self.transport,
        )
        left = identity.expires_at - time.time()
        self.call_later("token", left, CloseCode.TOKEN_EXPIRED)
        warning = left - ABOUT_TO_EXPIRE_SECONDS
        self.timers.set("warning", warning, self.tell_token_about_to_expire)

    def _keep_alive(self) -> None:
        interval = get_settings().keepalive_seconds
        self.timers.set("alive", interval, self._keep_alive)
        if self.is_silent_for(interval):
            self.outbox.ping()


def refusal_code(error: SyncError) -> CloseCode:
    """Return the close code for a token that was refused with an error."""
    is_busy = error.status in BUSY_STATUSES
    return CloseCode.SERVER_BUSY if is_busy else CloseCode.TOKEN_INVALID


def to_error(exception: Exception) -> SyncError:
    """Return the error to send for an exception, and log unexpected ones."""
    if isinstance(exception, SyncError):
        return exception
    logger.error("a frame failed", exc_info=exception)
    return ServiceUnavailable() if is_away(exception) else InternalError()
