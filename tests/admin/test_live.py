"""The admin and live connections: counted, notified and closed, in any process."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from functools import partial

import jwt
import pytest

from sync_streams.tokens import CONTENT_TYPE
from tests.admin.operator import Operator, until
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite

DEMO = "sync_streams/stream"


@pytest.fixture
def sites(start_site: Callable[..., DemoSite], redis_url: str) -> list[DemoSite]:
    """Two processes that share a database and a Redis."""
    return [start_site(REDIS_URL=redis_url) for _ in range(2)]


async def operator_of(site: DemoSite) -> Operator:
    return await asyncio.to_thread(Operator, site)


@pytest.fixture
async def operator(sites: list[DemoSite]) -> Operator:
    """An operator at the first process."""
    return await operator_of(sites[0])


async def new_stream(site: DemoSite) -> str:
    created = await asyncio.to_thread(post, site, "/default/Streams")
    return str(created["sid"])


def names_in(operator: Operator, path: str) -> list[str]:
    return re.findall(">(demo|quiet)<", operator.get(path).text)


def processes_in(operator: Operator, path: str) -> list[str]:
    page = operator.get(path).text
    return re.findall(r'name="process" value="([^"]+)"', page)


@pytest.fixture
async def subscribed(sites: list[DemoSite]) -> AsyncIterator[list[SiteSocket]]:
    """Alice on the first process, Alice and Bob on the second, all at ``demo``."""
    async with (
        SiteSocket(sites[0], "alice") as first,
        SiteSocket(sites[1], "alice") as second,
        SiteSocket(sites[1], "bob") as third,
    ):
        for socket in (first, second, third):
            await socket.ask("subscribe", stream="demo")
        yield [first, second, third]


@pytest.mark.redis
async def test_subscribers_are_counted_over_all_processes(
    operator: Operator, subscribed: list[SiteSocket]
) -> None:
    sid = await asyncio.to_thread(operator.stream_sid)

    look = partial(operator.subscribers, sid)
    assert await asyncio.to_thread(until, look, lambda count: count == 3) == 3


@pytest.mark.redis
async def test_filter_finds_streams_that_another_process_serves(
    sites: list[DemoSite],
    operator: Operator,
) -> None:
    await asyncio.to_thread(post, sites[0], "/default/Streams", UniqueName="quiet")

    async with SiteSocket(sites[1]) as socket:
        await socket.ask("subscribe", stream="demo")
        for choice, name in (("yes", "demo"), ("no", "quiet")):
            look = partial(names_in, operator, f"{DEMO}/?occupied={choice}")
            found = await asyncio.to_thread(until, look, lambda names: len(names) == 1)
            assert found == [name]


async def test_observer_is_not_counted_as_a_subscriber(
    embedded: DemoSite,
) -> None:
    operator = await operator_of(embedded)
    sid = await new_stream(embedded)
    page = await asyncio.to_thread(operator.post, f"{DEMO}/{sid}/token/")
    observer = SiteSocket(embedded)
    observer.token = page.json()["token"]
    found = f"{DEMO}/?occupied=yes&q={sid}"

    async with observer, SiteSocket(embedded) as alice:
        await observer.ask("subscribe", stream=sid)
        await observer.ask("subscribe", stream=sid)
        assert await asyncio.to_thread(operator.subscribers, sid) == 0
        listed = await asyncio.to_thread(operator.get, found)
        assert f'data-occupancy="{sid}"' not in listed.text
        await alice.ask("subscribe", stream=sid)
        look = partial(operator.subscribers, sid)
        assert await asyncio.to_thread(until, look, lambda count: count == 1) == 1
        await observer.ask("unsubscribe", stream=sid)
        assert await asyncio.to_thread(until, look, lambda count: count == 1) == 1


@pytest.mark.redis
async def test_disconnected_identity_loses_its_sockets_on_all_processes(
    operator: Operator, subscribed: list[SiteSocket]
) -> None:
    service_sid = await asyncio.to_thread(operator.service_sid)
    url = f"sync_streams/service/{service_sid}/disconnect/"

    await asyncio.to_thread(operator.post, url, identity="alice")

    alice, alice_too, bob = subscribed
    for socket in (alice, alice_too):
        closing, _ = await socket.receive_close()
        assert (closing["type"], closing["code"]) == ("closing", 4007)
        assert closing["reconnect_after"] is None
    assert (await bob.ask("ping"))["type"] == "pong"


@pytest.mark.redis
async def test_drained_process_closes_its_own_connections_only(
    sites: list[DemoSite], operator: Operator, subscribed: list[SiteSocket]
) -> None:
    url = "sync_streams/service/processes/"
    look = partial(processes_in, operator, url)
    names = await asyncio.to_thread(until, look, lambda names: len(names) == 2)
    pid = sites[1].program.process.pid
    (name,) = [name for name in names if name.endswith(f":{pid}")]

    await asyncio.to_thread(operator.post, url, process=name, confirmed="yes")

    stays, *leave = subscribed
    for socket in leave:
        closing, _ = await socket.receive_close()
        assert (closing["type"], closing["code"]) == ("closing", 4008)
        assert closing["reconnect_after"] is not None
    assert (await stays.ask("ping"))["type"] == "pong"


async def test_subscribers_are_notified_of_a_removal_in_the_admin(
    embedded: DemoSite,
) -> None:
    operator = await operator_of(embedded)
    sid = await new_stream(embedded)

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)
        await asyncio.to_thread(operator.post, f"{DEMO}/{sid}/delete/", post="yes")

        assert await socket.receive() == {"type": "stream_removed", "stream_sid": sid}


async def test_test_message_reaches_a_subscriber(embedded: DemoSite) -> None:
    operator = await operator_of(embedded)
    sid = await new_stream(embedded)

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)
        url = f"{DEMO}/{sid}/publish/"
        await asyncio.to_thread(operator.post, url, data='{"a": "</script>"}')

        assert (await socket.receive())["message"]["data"] == {"a": "</script>"}


async def test_read_only_token_subscribes_and_publishes_nothing(
    embedded: DemoSite,
) -> None:
    socket = SiteSocket(embedded)
    claims = jwt.decode(embedded.account.token(), options={"verify_signature": False})
    claims["grants"]["data_sync"]["read_only"] = True
    socket.token = jwt.encode(
        claims, embedded.api_key_secret, headers={"cty": CONTENT_TYPE}
    )

    async with socket:
        subscribed = await socket.ask("subscribe", stream="demo")
        refused = await socket.ask("publish", stream="demo", data={})

    assert subscribed["type"] == "subscribed"
    assert (refused["type"], refused["code"]) == ("error", 54007)
