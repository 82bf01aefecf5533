"""Joining and leaving a Stream's group over a Redis that is slow or hangs."""

import asyncio
from collections.abc import Iterator

import pytest
import redis

from sync_streams.delivery import topic
from sync_streams.delivery.cluster.servers import server_of
from sync_streams.delivery.cluster.slots import MAX_CALLS
from sync_streams.delivery.events import stream_group
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.values.sids import new_stream_sid
from tests.clock import Jump, settle
from tests.delivery.client import Client
from tests.delivery.hubs import REDIS_LAYERS, hub_over, publish, subscribed
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.waiting import until

pytestmark = pytest.mark.redis

DELAY_SECONDS = 0.1
"""By which a slow Redis gets each command later, and answers later."""

WAITING = 100
"""Clients that wait for the same group; one after another they would take a minute."""


@pytest.fixture(autouse=True)
def without_probes() -> Iterator[None]:
    """Let no probe find out that Redis hangs, and a slow one take its time."""
    with sync_settings(probe_seconds=3_600, broadcast_timeout_seconds=10):
        yield


def layer_on(name: str, *proxies: Proxy) -> dict[str, object]:
    hosts = [proxy.url for proxy in proxies]
    return {"BACKEND": REDIS_LAYERS[name], "CONFIG": {"hosts": hosts}}


def processes_in(stream_sid: str, server: RedisServer) -> int:
    """Return how many processes Redis sends a Stream's events to."""
    group = stream_group(stream_sid)
    with redis.Redis(port=server.port) as client:
        [(_, listening)] = client.pubsub_numsub(f"asgi__group__{group}")
        return int(listening) + int(client.zcard(f"asgi:group:{group}"))


def sid_on(server: int, hub: Hub) -> str:
    while True:
        stream_sid = new_stream_sid()
        if server_of(hub.layer, stream_group(stream_sid)) == server:
            return stream_sid


@pytest.mark.parametrize("name", REDIS_LAYERS)
async def test_a_subscription_that_is_abandoned_leaves_the_group(
    name: str, redis_server: RedisServer, jump: Jump
) -> None:
    stream_sid, client = new_stream_sid(), Client()
    async with (
        Proxy(redis_server.port, delay=DELAY_SECONDS) as slow,
        hub_over(layer_on(name, slow)) as hub,
    ):
        joining = asyncio.ensure_future(
            hub.subscriptions.subscribe(client.outbox, stream_sid, None)
        )
        await until(lambda: processes_in(stream_sid, redis_server))
        joining.cancel()
        await asyncio.wait([joining])
        hub.subscriptions.forget(client.outbox)
        jump(topic.LINGER_SECONDS)

        await until(lambda: not processes_in(stream_sid, redis_server))
        await until(lambda: not hub.subscriptions.topics)


async def test_a_subscription_that_fails_leaves_the_group(
    redis_server: RedisServer, jump: Jump
) -> None:
    stream_sid, client = new_stream_sid(), Client()
    late = Proxy(redis_server.port, delay=1, delayed_from=stream_sid.encode())
    async with late as proxy, hub_over(layer_on("pubsub", proxy)) as hub:
        with (
            sync_settings(broadcast_timeout_seconds=0.2),
            pytest.raises(ServiceUnavailable),
        ):
            await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
        await until(lambda: processes_in(stream_sid, redis_server))
        jump(topic.LINGER_SECONDS)

        await until(lambda: not processes_in(stream_sid, redis_server))
        await until(lambda: not hub.subscriptions.topics)


@pytest.mark.parametrize("name", REDIS_LAYERS)
async def test_clients_that_wait_for_the_same_group_are_refused_together(
    name: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Proxy(redis_server.port) as proxy,
        hub_over(layer_on(name, proxy)) as hub,
    ):
        await subscribed(hub)  # on a connection that stays open
        proxy.is_silent = True
        stream_sid = new_stream_sid()
        with sync_settings(broadcast_timeout_seconds=0.5):
            joining = [
                hub.subscriptions.subscribe(Client().outbox, stream_sid, None)
                for _ in range(WAITING)
            ]
            async with asyncio.timeout(WAITING * 0.5 / 2):
                outcomes = await asyncio.gather(*joining, return_exceptions=True)
        proxy.is_silent = False
        proxy.cut()

    assert {type(outcome) for outcome in outcomes} == {ServiceUnavailable}
    assert caplog.text.count("channel layer failed") < WAITING / 4


async def test_a_server_that_hangs_delays_no_message_on_another(
    redis_server: RedisServer,
) -> None:
    port = redis_server.port
    async with (
        Proxy(port) as hanging,
        Proxy(port) as other,
        hub_over(layer_on("pubsub", hanging, other)) as hub,
    ):
        client, stream_sid = Client(), sid_on(1, hub)
        await hub.subscriptions.subscribe(client.outbox, stream_sid, None)
        hanging.is_silent = True
        waiting = [
            asyncio.ensure_future(publish(sid_on(0, hub), 1)) for _ in range(MAX_CALLS)
        ]
        await settle()

        with sync_settings(broadcast_timeout_seconds=4):
            await publish(stream_sid, 1)
        await client.until(1)
        for publishing in waiting:
            publishing.cancel()
        await asyncio.wait(waiting)
        hanging.is_silent = False
        hanging.cut()

    assert client.numbers == [1]


@pytest.mark.parametrize("name", REDIS_LAYERS)
async def test_a_client_that_left_while_the_group_was_left_harms_no_later_one(
    name: str, redis_server: RedisServer, jump: Jump
) -> None:
    async with (
        Proxy(redis_server.port, delay=DELAY_SECONDS) as slow,
        hub_over(layer_on(name, slow)) as hub,
    ):
        subscriptions, (stream_sid, first) = hub.subscriptions, await subscribed(hub)
        subscriptions.forget(first.outbox)
        jump(topic.LINGER_SECONDS)
        await until(lambda: len(subscriptions.tasks) or not subscriptions.topics)
        brief, last = Client(), Client()
        joining = asyncio.ensure_future(
            subscriptions.subscribe(brief.outbox, stream_sid, None)
        )
        await asyncio.sleep(0)
        subscriptions.forget(brief.outbox)
        await joining

        await subscriptions.subscribe(last.outbox, stream_sid, None)
        jump(topic.LINGER_SECONDS)
        await asyncio.sleep(0)
        await until(lambda: not len(subscriptions.tasks))
        await publish(stream_sid, 1)
        await last.until(1)

    assert last.numbers == [1]
