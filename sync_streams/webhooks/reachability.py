"""Reachability: an identity's first endpoint connected, or its last disconnected.

Sends ``endpoint_connected`` and ``endpoint_disconnected`` for Services that have
``reachability_webhooks_enabled``. With debouncing, the latter waits for the Service's
window, and a reconnection to any process cancels it. See
https://www.twilio.com/docs/sync/api/service.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from channels.db import database_sync_to_async

from sync_streams import operations
from sync_streams.conf import get_settings
from sync_streams.errors import ServiceNotFound
from sync_streams.models import Service
from sync_streams.operations.actor import Actor
from sync_streams.operations.announcements import EndpointChange
from sync_streams.processes.background import new_lock

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
from .shares import Queue
from .worker import Step, Worker

POLL_SECONDS = 5
"""How often a process looks for identities whose process has died."""

RENEW_EVERY = 4
"""Polls between two renewals of the leases."""

MAX_STEPS = 20_000
"""Connections that can be queued; one account gets half. The disconnections that can
be queued are at most those of connections that were."""

EARLY_SECONDS = 0.01
"""How early a timer may fire by Redis' clock."""

EVERY_SERVICE = "every Service"
"""Logged in place of a SID when a failure does not concern a particular Service."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Connection:
    endpoint: Endpoint
    service: Service
    """Its Service as it was when the connection began."""


class Reachability:
    """Tracks one process's endpoints and reports identities going on- and offline."""

    def __init__(self, dispatcher: Dispatcher, redis_url: str) -> None:
        """Run in the dispatcher's loop, one step at a time for each Redis server."""
        self.dispatcher, self.redis_url = dispatcher, redis_url
        self._presence: Presence = (
            RedisPresence(redis_url) if redis_url else LocalPresence()
        )
        self._tracked: dict[str, _Connection] = {}
        # A server that hangs delays only what concerns it.
        self._workers = defaultdict[int, Worker](partial(Worker, self._note_error))
        self._queue = Queue(MAX_STEPS)
        self._survey: asyncio.Task[None] | None = None
        self._polls, self._is_closed = 0, False
        if redis_url:
            dispatcher.call_later(POLL_SECONDS, self._poll)

    def note(self, change: EndpointChange, service: Service, actor: Actor) -> None:
        """Record that a connection starts or ends; from any thread."""
        connection_id = str(actor.connection_id)
        if change == "disconnected":
            connection = self._tracked.pop(connection_id, None)
            if connection is not None:
                self._add(connection, partial(self._disconnect, connection))
        elif service.reachability_webhooks_enabled:
            endpoint = Endpoint(
                service.sid, actor.identity, connection_id, service.account_sid
            )
            self._begin(_Connection(endpoint, service))

    def close(self) -> None:
        """Renew no leases and look for no dead processes; from any thread.

        What is queued is still sent.
        """
        self._is_closed = True

    def _begin(self, connection: _Connection) -> None:
        endpoint = connection.endpoint
        account_sid, service_sid = endpoint.account_sid, endpoint.service_sid
        if not self._queue.take(account_sid, service_sid, MAX_STEPS):
            # Its end will not be noted, either.
            outcomes.note(service_sid, "overflow", self.dispatcher.call_later)
            return
        self._tracked[endpoint.connection_id] = connection

        async def connect() -> None:
            self._queue.give_back(account_sid, service_sid)
            await self._connect(connection)

        self._add(connection, connect)

    def _add(self, connection: _Connection, step: Step) -> None:
        async def take() -> None:
            try:
                await step()
            finally:
                self.dispatcher.end()

        self.dispatcher.begin()
        self.dispatcher.call_soon(self._line_up, connection.endpoint.service_sid, take)

    def _line_up(self, service_sid: str, step: Step) -> None:
        self._worker_of(service_sid).add(service_sid, step)

    def _worker_of(self, service_sid: str) -> Worker:
        return self._workers[self._presence.server_of(service_sid)]

    async def _connect(self, connection: _Connection) -> None:
        if await self._presence.connect(connection.endpoint):
            await self._tell_connected(connection)

    async def _tell_connected(self, connection: _Connection) -> None:
        service = await self._service(connection)
        await _tell("endpoint_connected", service, _actor(connection))

    async def _disconnect(self, connection: _Connection) -> None:
        service = await self._service(connection)
        window = 0.0
        if service is not None and service.reachability_debouncing_enabled:
            window = service.reachability_debouncing_window / 1000
        if await self._presence.disconnect(connection.endpoint, window):
            await _tell("endpoint_disconnected", service, _actor(connection))
        elif service is not None and window:
            look = partial(self._look, service)
            self.dispatcher.call_later(window + EARLY_SECONDS, look)

    async def _service(self, connection: _Connection) -> Service | None:
        known = connection.service
        try:
            return await _ask(
                partial(operations.find_service, known.account_sid, known.sid)
            )
        except ServiceNotFound:
            return None
        except Exception as error:
            # The database is unavailable. In memory nothing would make up for a step
            # that is given up, and a Service rarely changes.
            self._note_error(known.sid, error)
            return known

    def _look(self, service: Service) -> None:
        self._line_up(service.sid, partial(self._collect, service))

    async def _collect(self, service: Service) -> None:
        gone = await self._presence.collect(service.sid)
        for identity in gone:
            # It is no longer known which endpoint was the last one.
            await _tell("endpoint_disconnected", service, Actor(identity))
        if len(gone) == BATCH:
            self._look(service)

    def _poll(self) -> None:
        if self._is_closed:
            return
        self.dispatcher.call_later(POLL_SECONDS, self._poll)
        self._polls += 1
        self._renew_leases(is_due=self._polls % RENEW_EVERY == 0)
        # Outside the queues of steps, so leases are renewed even while a database
        # hangs.
        if self._survey is None or self._survey.done():
            self._survey = asyncio.ensure_future(self._look_everywhere())

    async def _look_everywhere(self) -> None:
        # Including Services whose endpoints all belonged to a process that died.
        try:
            services = await _ask(operations.list_watched_services)
        except Exception as error:
            self._note_error(EVERY_SERVICE, error)
            return
        for service in [s for s in services if self._worker_of(s.sid).is_idle]:
            self._look(service)

    def _note_error(self, service_sid: str, error: Exception) -> None:
        # Redis or the database is unavailable; leases and polls make up for it.
        outcomes.note(service_sid, "error", self.dispatcher.call_later, repr(error))

    def _renew_leases(self, *, is_due: bool) -> None:
        # A server that failed may be back, with leases that are over: renew them before
        # they are looked for. The last round may still wait for a server that hangs.
        chosen = {
            number: list[str]()
            for number, worker in self._workers.items()
            if (is_due or worker.has_failed) and not worker.is_renewing
        }
        if not chosen:
            return
        for connection_id, connection in list(self._tracked.items()):
            number = self._presence.server_of(connection.endpoint.service_sid)
            if number in chosen:
                chosen[number].append(connection_id)
        for number, connection_ids in chosen.items():
            self._workers[number].has_failed = False
            self._renew(self._workers[number], connection_ids)

    def _renew(self, worker: Worker, connection_ids: list[str]) -> None:
        worker.is_renewing = bool(connection_ids)
        if connection_ids:
            step = partial(self._renew_some, worker, connection_ids)
            worker.add(EVERY_SERVICE, step)

    async def _renew_some(self, worker: Worker, connection_ids: list[str]) -> None:
        # Interleaved with other steps, so an endpoint gone meanwhile is not revived.
        renewals = map(self._renew_one, connection_ids[:BATCH])
        results = await asyncio.gather(*renewals, return_exceptions=True)
        self._renew(worker, connection_ids[BATCH:])
        for error in results:
            if isinstance(error, Exception):
                raise error  # one stands for all of them

    async def _renew_one(self, connection_id: str) -> None:
        connection = self._tracked.get(connection_id)
        if connection and await self._presence.renew(connection.endpoint):
            await self._tell_connected(connection)


async def _tell(event_type: str, service: Service | None, actor: Actor) -> None:
    if service and service.webhook_url and service.reachability_webhooks_enabled:
        # A project's own sender may be slow.
        await asyncio.to_thread(send, describe(event_type, service, actor))


async def _ask(question: Callable[[], T]) -> T:
    return await database_sync_to_async(question, thread_sensitive=False)()


def _actor(connection: _Connection) -> Actor:
    endpoint = connection.endpoint
    return Actor(endpoint.identity, endpoint.connection_id)


_lock = new_lock()
_known: list[Reachability] = []


def forget_after_fork() -> None:
    """Start over in a forked child, which has no endpoints yet."""
    global _lock
    _lock = new_lock()
    _known.clear()


def note(change: EndpointChange, service: Service, actor: Actor) -> None:
    """Record that a connection starts or ends, if Services use reachability."""
    # Start nothing in a process whose Services do not use it.
    if _known or service.reachability_webhooks_enabled:
        _reachability().note(change, service, actor)


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
