"""Reachability: an identity's first endpoint came, its last one went.

``endpoint_connected`` and ``endpoint_disconnected``, for Services that have
``reachability_webhooks_enabled``. With debouncing the second waits for the Service's
window, and a reconnection to whatever process takes it back. See
https://www.twilio.com/docs/sync/api/service.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from threading import Lock

from channels.db import database_sync_to_async

from sync_streams import announcements, operations
from sync_streams.announcements import Cause, EndpointChange
from sync_streams.conf import get_settings
from sync_streams.errors import ServiceNotFound
from sync_streams.models import Service

from .dispatcher import Dispatcher, get_dispatcher
from .outcomes import outcomes
from .presence import (
    BATCH,
    Endpoint,
    LocalPresence,
    Presence,
    RedisPresence,
)
from .receivers import describe
from .sender import send

POLL_SECONDS = 5
"""How often a process looks for identities whose own process has died."""

RENEW_EVERY = 4
"""Polls from one renewal of the leases to the next."""

MAX_STEPS = 10_000
"""Connections and disconnections that wait to be looked at."""

EARLY_SECONDS = 0.01
"""By which a timer may be early, against Redis's clock."""

Step = Callable[[], Awaitable[None]]


class Reachability:
    """What one process knows of its endpoints, and tells of identities."""

    def __init__(self, dispatcher: Dispatcher, redis_url: str) -> None:
        """Work in the dispatcher's loop, one step after the other."""
        self.dispatcher, self.redis_url = dispatcher, redis_url
        self._presence: Presence = (
            RedisPresence(redis_url) if redis_url else LocalPresence()
        )
        self._tracked: dict[str, Endpoint] = {}
        self._services: dict[str, str] = {}
        self._steps: deque[tuple[str, Step]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._polls, self._is_closed = 0, False
        if redis_url:
            dispatcher.call_later(POLL_SECONDS, self._poll)

    def note(self, change: EndpointChange, service: Service, cause: Cause) -> None:
        """Take note of a connection that begins or ends; from any thread."""
        connection_id = str(cause.connection_id)
        if change == "disconnected":
            endpoint = self._tracked.pop(connection_id, None)
            if endpoint is not None:
                self._add(service.sid, partial(self._disconnect, endpoint))
        elif service.reachability_webhooks_enabled:
            self._services[service.sid] = service.account_sid
            endpoint = Endpoint(service.sid, cause.identity, connection_id)
            self._tracked[connection_id] = endpoint
            self._add(service.sid, partial(self._connect, endpoint))

    def close(self) -> None:
        """Tell nothing more; from any thread."""
        self._is_closed = True

    def _add(self, service_sid: str, step: Step) -> None:
        if len(self._steps) >= MAX_STEPS:
            outcomes.note(service_sid, "overflow", self.dispatcher.call_later)
            return
        self.dispatcher.begin()
        self.dispatcher.call_soon(self._line_up, service_sid, self._counted(step))

    def _counted(self, step: Step) -> Step:
        async def take() -> None:
            try:
                await step()
            finally:
                self.dispatcher.end()

        return take

    def _line_up(self, service_sid: str, step: Step) -> None:
        self._steps.append((service_sid, step))
        if self._worker is None:
            self._worker = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while self._steps:
            service_sid, step = self._steps.popleft()
            try:
                await step()
            except Exception as error:
                # Redis or the database is away; leases and polls make up for it.
                later = self.dispatcher.call_later
                outcomes.note(service_sid, "error", later, repr(error))
        self._worker = None

    async def _connect(self, endpoint: Endpoint) -> None:
        if await self._presence.connect(endpoint):
            await self._tell(
                "endpoint_connected",
                endpoint.service_sid,
                Cause(endpoint.identity, endpoint.connection_id),
            )

    async def _disconnect(self, endpoint: Endpoint) -> None:
        service = await self._service(endpoint.service_sid)
        window = 0.0
        if service is not None and service.reachability_debouncing_enabled:
            window = service.reachability_debouncing_window / 1000
        if await self._presence.disconnect(endpoint, window):
            await self._tell(
                "endpoint_disconnected",
                endpoint.service_sid,
                Cause(endpoint.identity, endpoint.connection_id),
            )
        elif window:
            self.dispatcher.call_later(
                window + EARLY_SECONDS, partial(self._look, endpoint.service_sid)
            )

    def _look(self, service_sid: str) -> None:
        self._line_up(service_sid, partial(self._collect, service_sid))

    async def _collect(self, service_sid: str) -> None:
        gone = await self._presence.collect(service_sid)
        for identity in gone:
            # Which endpoint was the last one is not known any more.
            await self._tell("endpoint_disconnected", service_sid, Cause(identity))
        if len(gone) == BATCH:
            self._look(service_sid)

    async def _tell(self, event_type: str, service_sid: str, cause: Cause) -> None:
        service = await self._service(service_sid)
        if service and service.webhook_url and service.reachability_webhooks_enabled:
            # A project's own sender may take its time.
            await asyncio.to_thread(send, describe(event_type, service, cause))

    async def _service(self, service_sid: str) -> Service | None:
        find = database_sync_to_async(operations.find_service, thread_sensitive=False)
        try:
            return await find(self._services[service_sid], service_sid)
        except ServiceNotFound:
            return None

    def _poll(self) -> None:
        if self._is_closed:
            return
        self._polls += 1
        if self._polls % RENEW_EVERY == 0:
            self._renew(list(self._tracked))
        for service_sid in self._services:
            self._look(service_sid)
        self.dispatcher.call_later(POLL_SECONDS, self._poll)

    def _renew(self, connection_ids: list[str]) -> None:
        if connection_ids:
            step = partial(self._renew_some, connection_ids)
            self._line_up(self._service_sid(connection_ids), step)

    async def _renew_some(self, connection_ids: list[str]) -> None:
        # Step by step between the others: who has gone meanwhile is not brought back.
        for connection_id in islice(connection_ids, BATCH):
            if endpoint := self._tracked.get(connection_id):
                await self._presence.renew(endpoint)
        self._renew(connection_ids[BATCH:])

    def _service_sid(self, connection_ids: list[str]) -> str:
        endpoint = self._tracked.get(connection_ids[0])
        return endpoint.service_sid if endpoint else ""


def connect() -> None:
    """Listen to the connections of this process."""
    announcements.endpoint_listeners.append(_note)


_lock = Lock()
_known: list[Reachability] = []


def _note(change: EndpointChange, service: Service, cause: Cause) -> None:
    # Nothing starts in a process whose Services all do without.
    if _known or service.reachability_webhooks_enabled:
        _reachability().note(change, service, cause)


def _reachability() -> Reachability:
    dispatcher, redis_url = get_dispatcher(), get_settings().redis_url
    with _lock:
        known = next(iter(_known), None)
        if (
            known is None
            or known.dispatcher is not dispatcher
            or known.redis_url != redis_url
        ):
            if known is not None:
                known.close()
            _known[:] = [known := Reachability(dispatcher, redis_url)]
        return known
