"""Who is online, in one process and in Redis: the same rules for both."""

import time
from collections.abc import AsyncIterator
from secrets import token_hex

import pytest

from sync_streams.redis import rate_limit
from sync_streams.webhooks.presence import (
    Endpoint,
    LocalPresence,
    Presence,
    RedisPresence,
)

WINDOW = 0.2


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.redis)])
async def presence(request: pytest.FixtureRequest) -> AsyncIterator[Presence]:
    if request.param == "local":
        yield LocalPresence()
        return
    url = request.getfixturevalue("redis_url")
    yield RedisPresence(url)
    await rate_limit.async_client(url, "").aclose()


@pytest.fixture
def service_sid() -> str:
    return f"IS{token_hex(16)}"


async def collected(presence: Presence, service_sid: str) -> tuple[list[str], float]:
    """Ask until an identity is offline; also return the time."""
    until = time.monotonic() + 2
    while True:
        gone = await presence.collect(service_sid)
        now = time.monotonic()
        if gone or now > until:
            return gone, now


async def test_first_endpoint_brings_an_identity_online(
    presence: Presence, service_sid: str
) -> None:
    assert await presence.connect(Endpoint(service_sid, "alice", "1"))
    assert not await presence.connect(Endpoint(service_sid, "alice", "2"))
    assert await presence.connect(Endpoint(service_sid, "bob", "3"))


async def test_last_endpoint_takes_it_offline(
    presence: Presence, service_sid: str
) -> None:
    one, two = Endpoint(service_sid, "é", "1"), Endpoint(service_sid, "é", "2")
    await presence.connect(one)
    await presence.connect(two)

    assert not await presence.disconnect(one, 0)
    assert await presence.disconnect(two, 0)
    assert not await presence.disconnect(two, 0)
    assert await presence.connect(one)


async def test_services_do_not_share_identities(
    presence: Presence, service_sid: str
) -> None:
    await presence.connect(Endpoint(service_sid, "alice", "1"))

    assert await presence.connect(Endpoint(f"IS{token_hex(16)}", "alice", "2"))


async def test_window_delays_the_end_and_no_longer(
    presence: Presence, service_sid: str
) -> None:
    endpoint = Endpoint(service_sid, "alice", "1")
    await presence.connect(endpoint)

    started = time.monotonic()
    assert not await presence.disconnect(endpoint, WINDOW)
    assert await presence.collect(service_sid) == []
    gone, moment = await collected(presence, service_sid)

    assert gone == ["alice"]
    assert moment - started > WINDOW
    assert await presence.collect(service_sid) == []
    assert await presence.connect(endpoint)


async def test_return_within_the_window_is_no_event(
    presence: Presence, service_sid: str
) -> None:
    endpoint = Endpoint(service_sid, "alice", "1")
    await presence.connect(endpoint)
    await presence.disconnect(endpoint, WINDOW)

    assert not await presence.connect(Endpoint(service_sid, "alice", "2"))
    gone, _ = await collected(presence, service_sid)
    assert gone == []


@pytest.mark.redis
async def test_endpoints_of_a_dead_process_expire(
    redis_url: str, service_sid: str
) -> None:
    presence = RedisPresence(redis_url, lease=1)
    started = time.monotonic()
    await presence.connect(Endpoint(service_sid, "alice", "1"))

    gone, moment = await collected(presence, service_sid)
    await rate_limit.async_client(redis_url, "").aclose()

    assert gone == ["alice"]
    assert moment - started > 1


@pytest.mark.redis
async def test_renewed_endpoints_stay(redis_url: str, service_sid: str) -> None:
    presence = RedisPresence(redis_url, lease=1)
    endpoint = Endpoint(service_sid, "alice", "1")
    await presence.connect(endpoint)
    until = time.monotonic() + 1.5

    gone: list[str] = []
    while time.monotonic() < until:
        await presence.renew(endpoint)
        gone += await presence.collect(service_sid)
    await rate_limit.async_client(redis_url, "").aclose()

    assert gone == []


@pytest.mark.redis
@pytest.mark.parametrize(
    ("lost", "is_told"), [("nothing", False), ("data", False), ("connection", True)]
)
async def test_renewal_tells_only_who_was_offline_for_others(
    redis_url: str, service_sid: str, lost: str, is_told: bool
) -> None:
    presence = RedisPresence(redis_url)
    endpoint = Endpoint(service_sid, "alice", "1")
    client = rate_limit.async_client(redis_url, "")
    if lost != "connection":  # with it, the command that adds the endpoint
        await presence.connect(endpoint)
    if lost == "data":
        await client.delete(*await client.keys(f"*{service_sid}*"))

    told = [await presence.renew(endpoint) for _ in range(2)]
    await client.aclose()

    assert told == [is_told, False]


@pytest.mark.redis
async def test_renewal_tells_that_another_process_has_reported_it(
    redis_url: str, service_sid: str
) -> None:
    presence = RedisPresence(redis_url, lease=0)
    endpoint = Endpoint(service_sid, "alice", "1")
    await presence.connect(endpoint)

    gone = await RedisPresence(redis_url).collect(service_sid)
    is_told = await presence.renew(endpoint)
    await rate_limit.async_client(redis_url, "").aclose()

    assert gone == ["alice"]
    assert is_told
