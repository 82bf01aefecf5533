"""Reachability: an identity's first endpoint connected, or its last disconnected.

Sends ``endpoint_connected`` and ``endpoint_disconnected`` for Services that have
``reachability_webhooks_enabled``. With debouncing, the latter waits for the Service's
window, and a reconnection to any process cancels it. See
https://www.twilio.com/docs/sync/api/service.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
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

POLL_SECONDS = 5
"""How often a process looks for identities whose process has died."""

RENEW_EVERY = 4
"""Polls between two renewals of the leases."""

MAX_STEPS = 20_000
"""Connections and disconnections that can be queued; one account gets half."""

EARLY_SECONDS = 0.01
"""How early a timer may fire by Redis' clock."""

EVERY_SERVICE = "every Service"
"""Logged in place of a SID when a failure does not concern a particular Service."""

Step = Callable[[], Awaitable[None]]
T = TypeVar("T")


class Reachability:
    """Tracks one process's endpoints and reports identities going on- and offline."""

    def __init__(self, dispatcher: Dispatcher, redis_url: str) -> None:
        """Run in the dispatcher's loop, one step at a time."""
        self.dispatcher, self.redis_url = dispatcher, redis_url
        self._presence: Presence = (
            RedisPresence(redis_url) if redis_url else LocalPresence()
        )
        self._tracked: dict[str, Endpoint] = {}
        self._steps: deque[tuple[str, Step]] = deque()
        self._queue = Queue(MAX_STEPS)
        self._worker: asyncio.Task[None] | None = None
        self._survey: asyncio.Task[None] | None = None
        self._polls, self._is_closed = 0, False
        if redis_url:
            dispatcher.call_later(POLL_SECONDS, self._poll)

    def note(self, change: EndpointChange, service: Service, actor: Actor) -> None:
        """Record that a connection starts or ends; from any thread."""
        connection_id = str(actor.connection_id)
        if change == "disconnected":
            endpoint = self._tracked.pop(connection_id, None)
            if endpoint is not None:
                self._add(endpoint, partial(self._disconnect, endpoint))
        elif service.reachability_webhooks_enabled:
            endpoint = Endpoint(
                service.sid, actor.identity, connection_id, service.account_sid
            )
            self._tracked[connection_id] = endpoint
            self._add(endpoint, partial(self._connect, endpoint))

    def close(self) -> None:
        """Send nothing more; from any thread."""
        self._is_closed = True

    def _add(self, endpoint: Endpoint, step: Step) -> None:
        service_sid = endpoint.service_sid
        if not self._queue.take(endpoint.account_sid, service_sid, MAX_STEPS):
            outcomes.note(service_sid, "overflow", self.dispatcher.call_later)
            return
        self.dispatcher.begin()
        counted = self._counted(endpoint, step)
        self.dispatcher.call_soon(self._line_up, service_sid, counted)

    def _counted(self, endpoint: Endpoint, step: Step) -> Step:
        async def take() -> None:
            self._queue.give_back(endpoint.account_sid, endpoint.service_sid)
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
                # Redis or the database is unavailable; leases and polls make up for it.
                self._note_error(service_sid, error)
        self._worker = None

    async def _connect(self, endpoint: Endpoint) -> None:
        if await self._presence.connect(endpoint):
            service = await _service(endpoint)
            await _tell("endpoint_connected", service, _actor(endpoint))

    async def _disconnect(self, endpoint: Endpoint) -> None:
        service = await _service(endpoint)
        window = 0.0
        if service is not None and service.reachability_debouncing_enabled:
            window = service.reachability_debouncing_window / 1000
        if await self._presence.disconnect(endpoint, window):
            await _tell("endpoint_disconnected", service, _actor(endpoint))
        elif service is not None and window:
            look = partial(self._look, service)
            self.dispatcher.call_later(window + EARLY_SECONDS, look)

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
        if self._polls % RENEW_EVERY == 0:
            self._renew(list(self._tracked))
        # Outside the queue of steps, so leases are renewed even while a database hangs.
        if not self._steps and (self._survey is None or self._survey.done()):
            self._survey = asyncio.ensure_future(self._look_everywhere())

    async def _look_everywhere(self) -> None:
        # Including Services whose endpoints all belonged to a process that died.
        try:
            for service in await _ask(operations.list_watched_services):
                self._look(service)
        except Exception as error:
            self._note_error(EVERY_SERVICE, error)

    def _note_error(self, service_sid: str, error: Exception) -> None:
        outcomes.note(service_sid, "error", self.dispatcher.call_later, repr(error))

    def _renew(self, connection_ids: list[str]) -> None:
        if connection_ids:
            step = partial(self._renew_some, connection_ids)
            self._line_up(EVERY_SERVICE, step)

    async def _renew_some(self, connection_ids: list[str]) -> None:
        # Interleaved with other steps, so an endpoint gone meanwhile is not revived.
        for connection_id in islice(connection_ids, BATCH):
            if endpoint := self._tracked.get(connection_id):
                await self._presence.renew(endpoint)
        self._renew(connection_ids[BATCH:])


async def _tell(event_type: str, service: Service | None, actor: Actor) -> None:
    if service and service.webhook_url and service.reachability_webhooks_enabled:
        # A project's own sender may be slow.
        await asyncio.to_thread(send, describe(event_type, service, actor))


async def _service(endpoint: Endpoint) -> Service | None:
    find = partial(operations.find_service, endpoint.account_sid, endpoint.service_sid)
    try:
        return await _ask(find)
    except ServiceNotFound:
        return None


async def _ask(question: Callable[[], T]) -> T:
    return await database_sync_to_async(question, thread_sensitive=False)()


def _actor(endpoint: Endpoint) -> Actor:
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
