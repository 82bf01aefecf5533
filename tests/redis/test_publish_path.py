"""Publishing where a frame or a request arrives, when Redis answers later."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from pytest_django import Settings

from sync_streams import operations
from sync_streams.delivery.hub import get_hub
from sync_streams.delivery.meters import meters
from sync_streams.routing import websocket_urlpatterns
from sync_streams.uvicorn import BoundedHttpProtocol, FramePathProtocol
from tests.clients.json_socket import Frame, SiteSocket, json_socket
from tests.clients.raw import HttpConnection
from tests.contract.http import PATH, raw
from tests.delivery.hubs import running_hub
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.recorders import Endpoint, Recorder
from tests.streams import uncached_stream
from tests.uvicorn_server import serving
from tests.waiting import until

pytestmark = pytest.mark.redis


@pytest.fixture
async def news(
    redis_server: RedisServer, settings: Settings, transactional_db: None
) -> AsyncIterator[None]:
    """A Stream, in a process that receives over a Redis of its own."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "sync_streams.layers.RedisChannelLayer",
            "CONFIG": {"hosts": [redis_server.url]},
        }
    }
    with sync_settings(probe_seconds=600, publish_rate=1_000):
        async with uncached_stream() as stream, running_hub():
            for _ in range(2):
                await operations.apublish(stream.service, "news", {"n": -1})
            yield


@pytest.fixture
def endpoint(news: None) -> Endpoint:
    return Endpoint(get_asgi_application())


@pytest.fixture
def recorder(news: None) -> Recorder:
    return Recorder(URLRouter(websocket_urlpatterns))


OPTIONS = {
    "http": BoundedHttpProtocol,
    "ws": FramePathProtocol,
    "access_log": False,
}


@pytest.fixture
async def port(recorder: Recorder, endpoint: Endpoint) -> AsyncIterator[int]:
    router = ProtocolTypeRouter({"http": endpoint, "websocket": recorder})
    async with serving(router, **OPTIONS) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[HttpConnection]:
    async with HttpConnection(port) as client:
        yield client


@pytest.fixture
async def socket(port: int, recorder: Recorder) -> AsyncIterator[SiteSocket]:
    async with json_socket(port) as socket:
        await socket.ask("subscribe", stream="news")
        recorder.frames.clear()
        yield socket


def publication(number: int) -> Frame:
    data = {"n": number}
    return {"type": "publish", "id": number, "stream": "news", "data": data}


def body(number: int) -> bytes:
    return b"Data=%7B%22n%22%3A" + str(number).encode() + b"%7D"


async def frames(socket: SiteSocket, number: int) -> tuple[list[Any], list[int]]:
    """Return the answers and the Messages among so many frames."""
    got = [await socket.receive() for _ in range(number)]
    received = [f["message"]["data"]["n"] for f in got if f["type"] == "message"]
    return [frame for frame in got if "id" in frame], received


async def test_frames_start_publishes_that_are_answered_and_delivered_in_order(
    socket: SiteSocket, recorder: Recorder
) -> None:
    socket.send_together(*map(publication, range(100)))

    answers, received = await frames(socket, 200)

    assert [answer["id"] for answer in answers] == [*range(100)]
    assert {answer["type"] for answer in answers} == {"published"}
    assert received == [*range(100)]
    assert recorder.frames == []


async def test_frames_that_must_wait_are_not_overtaken(
    socket: SiteSocket, recorder: Recorder
) -> None:
    numbers = count()
    opening = {"type": "subscribe", "stream": "other", "mode": "open_or_create"}

    def some() -> list[Frame]:
        return [publication(next(numbers)) for _ in range(9)]

    socket.send_together(*some(), {**opening, "id": "other"}, *some())
    answers, received = await frames(socket, 37)

    assert sorted(str(answer["id"]) for answer in answers) == sorted(
        ["other", *map(str, range(18))]
    )
    assert received == [*range(18)]
    assert json.loads(recorder.frames[0])["id"] == "other"


async def test_a_message_over_the_rate_is_refused_and_the_next_frame_answered(
    socket: SiteSocket,
) -> None:
    with sync_settings(publish_rate=1 / 60, publish_window_seconds=60):
        socket.send_together(publication(1), {"type": "ping", "id": 2})
        answers, received = await frames(socket, 2)

    assert received == []
    refusal = next(answer for answer in answers if answer["id"] == 1)
    assert (refusal["code"], refusal["status"]) == (54009, 429)
    assert 0 < refusal["retry_after"] <= 60


async def test_requests_start_publishes_that_are_answered_in_order(
    client: HttpConnection, socket: SiteSocket, endpoint: Endpoint
) -> None:
    for number in range(3):
        assert b" 201 " in await client.ask(raw(body=body(number)))
    assert endpoint.calls == 0

    missing = raw(path=PATH.replace(b"news", b"missing"))
    client.send(raw(body=body(3)))
    for request in (missing, raw(body=body(4))):
        await asyncio.sleep(0)
        client.send(request)
    statuses = [(await client.response()).split()[1] for _ in range(3)]

    assert statuses == [b"201", b"404", b"201"]
    assert (await frames(socket, 5))[1] == [*range(5)]


async def test_a_publish_that_redis_does_not_confirm_in_time_is_refused(
    client: HttpConnection,
    socket: SiteSocket,
    redis_server: RedisServer,
    endpoint: Endpoint,
) -> None:
    with sync_settings(broadcast_timeout_seconds=0.3, probe_seconds=600):
        redis_server.freeze()
        socket.send_together(publication(1), publication(2))
        answer = await client.ask(raw(body=body(3)))
        refusals, _ = await frames(socket, 2)
        redis_server.thaw()
    accepted_again = asyncio.create_task(publish_at_last(client, 4))
    _, received = await frames(socket, 1)
    await accepted_again

    assert b" 503 " in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 20503
    assert [refusal["code"] for refusal in refusals] == [20503, 20503]
    assert received == [4]


async def publish_at_last(client: HttpConnection, number: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if b" 201 " in await client.ask(raw(body=body(number))):
                return
            await asyncio.sleep(0.02)


async def test_clients_that_leave_before_the_reply_do_no_harm(
    port: int, socket: SiteSocket, redis_server: RedisServer
) -> None:
    redis_server.freeze()
    async with json_socket(port) as other, HttpConnection(port) as leaving:
        leaving.send(raw(body=body(1)))
        other.send_together(publication(2))
        await until(lambda: awaited() == 2)
    redis_server.thaw()

    assert sorted((await frames(socket, 2))[1]) == [1, 2]
    answer = await socket.ask("publish", id=3, stream="news", data={"n": 3})
    assert answer["type"] == "published"


def awaited() -> int:
    """Return how many commands this process waits for Redis to answer."""
    here: Any = get_hub().layer
    connection = here._here.shards[0]._node.pipeline._connection
    return len(connection.waiting) if connection else 0


async def test_a_server_that_stops_answers_first(
    endpoint: Endpoint, redis_server: RedisServer
) -> None:
    async with AsyncExitStack() as clients:
        async with serving(endpoint, **OPTIONS) as port:
            client = await clients.enter_async_context(HttpConnection(port))
            await client.ask(raw())
            redis_server.freeze()
            client.send(raw())
            await until(lambda: awaited() == 1)
            asyncio.get_running_loop().call_later(0.3, redis_server.thaw)

        assert b" 201 " in await client.response()
        assert await client.end() == b""


async def test_each_outcome_is_counted_once(
    client: HttpConnection, redis_server: RedisServer
) -> None:
    before = publishes()
    await client.ask(raw())
    with sync_settings(publish_rate=1 / 60, publish_window_seconds=60):
        await client.ask(raw())

    assert publishes() - before == 2


def publishes() -> int:
    return sum(int(str(s[2])) for s in meters.samples() if s[0] == "publishes")
