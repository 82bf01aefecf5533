"""Reachability events, in one process and across two with Redis."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

from sync_streams import operations
from sync_streams.cache import lookups
from sync_streams.management.destination import Destination
from sync_streams.management.sockets import ask, open_socket
from sync_streams.models import Service
from sync_streams.operations.actor import Actor
from sync_streams.redis import rate_limit
from sync_streams.testing import Subscriber
from sync_streams.tokens import issue_token
from sync_streams.webhooks import reachability, sender
from sync_streams.webhooks.dispatcher import Dispatcher, get_dispatcher
from sync_streams.webhooks.presence import Endpoint, RedisPresence
from sync_streams.webhooks.reachability import Reachability
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.conftest import StartRedis
from tests.overrides import Override
from tests.programs import DemoSite, RedisServer
from tests.settings import ACCOUNT_SID, AUTH_TOKEN
from tests.waiting import wait_until
from tests.webhooks.conftest import WAIT_SECONDS, Receiver

Start = Callable[..., DemoSite]


def watched(receiver: Receiver, **fields: Any) -> Service:
    service = operations.create_service(
        ACCOUNT_SID,
        webhook_url=receiver.url(),
        reachability_webhooks_enabled=True,
        **fields,
    )
    operations.create_stream(service, unique_name="x")
    return service


def subscriber(service: Service, identity: str = "alice") -> Subscriber:
    return Subscriber("x", identity=identity, service=service.sid)


async def idle(receiver: Receiver) -> bool:
    return await asyncio.to_thread(sender.flush, WAIT_SECONDS) and receiver.is_idle()


async def event_of(receiver: Receiver) -> tuple[str, str]:
    parameters = await asyncio.to_thread(receiver.parameters)
    return parameters["EventType"], parameters["Identity"]


@pytest.fixture
def service(receiver: Receiver, transactional_db: None) -> Service:
    return watched(receiver)


@pytest.fixture
def debounced(receiver: Receiver, transactional_db: None) -> Service:
    return watched(
        receiver,
        reachability_debouncing_enabled=True,
        reachability_debouncing_window=1000,
    )


async def test_first_and_last_endpoint_of_an_identity_send_webhooks(
    receiver: Receiver, service: Service
) -> None:
    async with subscriber(service), subscriber(service):
        connected = await asyncio.to_thread(receiver.parameters)
        assert await idle(receiver)
    disconnected = await asyncio.to_thread(receiver.parameters)

    assert connected["EventType"] == "endpoint_connected"
    assert disconnected["EventType"] == "endpoint_disconnected"
    assert connected["ServiceSid"] == service.sid
    assert connected["AccountSid"] == ACCOUNT_SID
    assert connected["Identity"] == disconnected["Identity"] == "alice"
    assert connected["EndpointId"] == disconnected["EndpointId"]
    assert await idle(receiver)


async def test_identities_are_tracked_separately(
    receiver: Receiver, service: Service
) -> None:
    async with subscriber(service, "alice"), subscriber(service, "bob"):
        events = {await event_of(receiver), await event_of(receiver)}

    assert events == {("endpoint_connected", "alice"), ("endpoint_connected", "bob")}


async def test_services_without_reachability_send_nothing(
    receiver: Receiver, service: Service
) -> None:
    await asyncio.to_thread(
        operations.update_service, service, reachability_webhooks_enabled=False
    )

    async with subscriber(service):
        pass

    assert await idle(receiver)


async def test_observers_send_no_webhooks(receiver: Receiver, service: Service) -> None:
    observer = subscriber(service, "admin:root")
    observer._token = issue_token("admin:root", service.sid, is_observer=True)

    async with observer:
        pass

    assert await idle(receiver)


async def test_debounced_disconnection_is_sent_after_the_window(
    receiver: Receiver, debounced: Service
) -> None:
    async with subscriber(debounced):
        assert await event_of(receiver) == ("endpoint_connected", "alice")
    left = time.monotonic()

    assert await event_of(receiver) == ("endpoint_disconnected", "alice")
    assert 0.95 < time.monotonic() - left < 5


async def test_return_within_the_window_sends_nothing(
    receiver: Receiver, debounced: Service
) -> None:
    async with subscriber(debounced):
        assert await event_of(receiver) == ("endpoint_connected", "alice")
    async with subscriber(debounced):
        assert await asyncio.to_thread(receiver.is_silent, 1.5)

    assert await event_of(receiver) == ("endpoint_disconnected", "alice")


@pytest.fixture
def _quick_polls(
    receiver: Receiver, service: Service, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(reachability, "POLL_SECONDS", 0.1)
    yield
    known = reachability._known.pop()
    known.close()
    assert known._survey
    known.dispatcher.run(asyncio.wait([known._survey]), WAIT_SECONDS)
    # What it has begun would send webhooks during the next test.
    wait_until(lambda: all(worker.is_idle for worker in known._workers.values()))


@pytest.mark.redis
@pytest.mark.usefixtures("_quick_polls")
async def test_identity_of_a_dead_process_is_reported_by_another(
    receiver: Receiver, service: Service, redis_url: str, override: Override
) -> None:
    """Only this process ever had a socket of that Service."""
    override(REDIS_URL=redis_url, WEBHOOK_ALLOW_PRIVATE=True)
    died = RedisPresence(redis_url, lease=1)
    await died.connect(Endpoint(service.sid, "bob", "1"))
    await rate_limit.async_client(redis_url, service.sid).aclose()
    other = await asyncio.to_thread(watched, receiver)

    # Not the test helper, which would leave Redis out.
    here = Destination(url="", service=other.sid, account_sid=ACCOUNT_SID)
    async with open_socket(here) as socket:
        await ask(socket, "connect", token=here.token("alice"))
        assert await event_of(receiver) == ("endpoint_connected", "alice")
        disconnected = await asyncio.to_thread(receiver.parameters)

    assert disconnected["Identity"] == "bob"
    assert disconnected["ServiceSid"] == service.sid
    assert "EndpointId" not in disconnected
    assert await event_of(receiver) == ("endpoint_disconnected", "alice")


def on_servers(receiver: Receiver, count: int) -> list[Service]:
    """Return a Service for each of that many Redis servers."""
    found: dict[int, Service] = {}
    while len(found) < count:
        service = watched(receiver)
        found.setdefault(rate_limit.server_of(service.sid, count), service)
    return [found[number] for number in range(count)]


def lease_of(server: RedisServer, service: Service) -> float:
    """Return when the lease of the Service's identity is over."""
    with redis.Redis(port=server.port) as client:
        [key] = client.keys(f"*:online:*{service.sid}*")
        return float(client.zscore(key, "alice"))


def renewal_of(server: RedisServer, service: Service) -> Callable[[], bool]:
    """Return a function that tells whether that lease has been renewed since now."""
    before = lease_of(server, service)
    return lambda: lease_of(server, service) > before


@pytest.mark.redis
@pytest.mark.parametrize("how", ["kill", "freeze"])
@pytest.mark.usefixtures("_quick_polls")
def test_redis_that_fails_ends_no_lease_on_another(
    receiver: Receiver, start_redis: StartRedis, override: Override, how: str
) -> None:
    servers = [start_redis() for _ in range(2)]
    url = " ".join(server.url for server in servers)
    # Nothing that waits for the one that hangs ends while the test runs.
    override(REDIS_URL=url, BROADCAST_TIMEOUT_SECONDS=WAIT_SECONDS)
    services = on_servers(receiver, 2)
    for number, each in enumerate(services):
        reachability.note("connected", each, Actor("alice", str(number)))
        assert receiver.parameters()["EventType"] == "endpoint_connected"

    getattr(servers[0], how)()
    for _ in range(2):  # the first renewal may have been under way
        wait_until(renewal_of(servers[1], services[1]))
    servers[0].thaw()


@pytest.mark.redis
@pytest.mark.usefixtures("_quick_polls")
def test_identity_that_was_reported_too_early_is_reported_again(
    receiver: Receiver,
    service: Service,
    redis_url: str,
    override: Override,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leases end before they can be renewed, as while Redis does not respond."""
    override(REDIS_URL=redis_url)
    monkeypatch.setattr(reachability, "RedisPresence", partial(RedisPresence, lease=0))
    reachability.note("connected", service, Actor("alice", "1"))

    events = [receiver.parameters()["EventType"] for _ in range(3)]

    assert events == [
        f"endpoint_{what}" for what in ("connected", "disconnected", "connected")
    ]


@pytest.mark.redis
async def test_identity_that_moves_to_another_process_sends_nothing(
    receiver: Receiver,
    start_site: Start,
    redis_url: str,
    tmp_path: Path,
) -> None:
    """Two servers, one database, one Redis."""
    environ = {
        "REDIS_URL": redis_url,
        "SYNC_AUTH_TOKEN": AUTH_TOKEN,
        "WEBHOOK_ALLOW_PRIVATE": "1",
    }
    sites = [start_site(tmp_path, **environ) for _ in range(2)]
    service = await asyncio.to_thread(
        post,
        sites[0],
        "",
        WebhookUrl=receiver.url(),
        ReachabilityWebhooksEnabled="true",
        ReachabilityDebouncingEnabled="true",
        ReachabilityDebouncingWindow=1000,
    )
    sid = service["sid"]

    async with SiteSocket(sites[0], service=sid):
        connected = await event_of(receiver)
    async with SiteSocket(sites[1], service=sid):
        assert await asyncio.to_thread(receiver.is_silent, 2)
    left = time.monotonic()
    disconnected = await event_of(receiver)

    assert connected == ("endpoint_connected", "alice")
    assert disconnected == ("endpoint_disconnected", "alice")
    assert 0.95 < time.monotonic() - left < 5


@contextmanager
def paused(dispatcher: Dispatcher) -> Iterator[None]:
    """Keep the dispatcher from taking any step."""
    resumed = threading.Event()
    dispatcher.call_soon(resumed.wait)
    try:
        yield
    finally:
        resumed.set()


@contextmanager
def no_services() -> Iterator[None]:
    """Let the database fail whenever a Service is read."""
    table = Service._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")
            lookups.forget_after_fork()  # the breaker, too


def test_full_queue_loses_no_disconnection_of_those_who_were_reported(
    receiver: Receiver, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "MAX_STEPS", 2)
    own = Reachability(get_dispatcher(), "")
    alice, bob, carl = (Actor(name, name) for name in ("alice", "bob", "carl"))
    own.note("connected", service, alice)
    events = [receiver.parameters()]

    with paused(own.dispatcher):
        own.note("connected", service, bob)
        own.note("connected", service, carl)  # one too many
        for each in (alice, bob, carl):
            own.note("disconnected", service, each)
    events += [receiver.parameters() for _ in range(3)]

    told = sorted((each["Identity"], each["EventType"]) for each in events)
    assert told == [
        (who, f"endpoint_{what}")
        for who in ("alice", "bob")
        for what in ("connected", "disconnected")
    ]
    assert sender.flush(WAIT_SECONDS)
    assert receiver.is_idle()


def test_database_that_fails_loses_no_event(
    receiver: Receiver, service: Service
) -> None:
    own = Reachability(get_dispatcher(), "")

    with no_services():
        own.note("connected", service, Actor("alice", "1"))
        own.note("disconnected", service, Actor("alice", "1"))
        events = [receiver.parameters()["EventType"] for _ in range(2)]

    assert events == ["endpoint_connected", "endpoint_disconnected"]
