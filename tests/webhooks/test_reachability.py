"""Reachability events, in one process and across two with Redis."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_streams import operations
from sync_streams.management.destination import Destination
from sync_streams.management.sockets import ask, open_socket
from sync_streams.models import Service
from sync_streams.redis import rate_limit
from sync_streams.testing import Subscriber
from sync_streams.tokens import issue_token
from sync_streams.webhooks import reachability, sender
from sync_streams.webhooks.presence import Endpoint, RedisPresence
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.overrides import Override
from tests.programs import DemoSite
from tests.settings import ACCOUNT_SID, AUTH_TOKEN
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
