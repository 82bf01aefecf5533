"""Requests answered where their frame arrives, on uvicorn's frame path, in order."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any

import pytest

from sync_streams.models import Stream
from sync_streams.uvicorn import FramePathProtocol
from tests.clients import twilsock
from tests.clients.accounts import ACCOUNT
from tests.clients.json_socket import Frame, SiteSocket, json_socket
from tests.clients.rest import LocalSite
from tests.clients.wires import NetworkWire
from tests.overrides import sync_settings
from tests.recorders import Recorder
from tests.streams import uncached_stream
from tests.uvicorn_server import serving


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Stream]:
    async with uncached_stream() as stream:
        yield stream


@pytest.fixture
async def port(news: Stream, recorder: Recorder) -> AsyncIterator[int]:
    async with serving(recorder, ws=FramePathProtocol) as port:
        yield port


@asynccontextmanager
async def opened(socket: SiteSocket) -> AsyncIterator[SiteSocket]:
    """Open a socket without presenting its token."""
    await socket.open()
    yield socket
    await socket.leave()


async def test_a_publish_to_a_known_stream_is_answered_where_it_arrives(
    port: int, recorder: Recorder
) -> None:
    async with json_socket(port) as connection:
        for _ in range(2):
            await connection.ask("publish", stream="news", data={})
        recorder.frames.clear()

        answer = await connection.ask("publish", id=7, stream="news", data={})
        refused = await connection.ask("publish", id=8, stream="news", data=[])
        await connection.ask("ping", id=9)

    assert (answer["type"], answer["id"]) == ("published", 7)
    assert (refused["code"], refused["id"]) == (54008, 8)
    assert [json.loads(frame)["id"] for frame in recorder.frames] == [9]


async def test_clients_connect_and_subscribe_where_their_frames_arrive(
    port: int, recorder: Recorder
) -> None:
    async with (
        json_socket(port) as first,
        json_socket(port),
        opened(json_socket(port)) as second,
    ):
        await first.ask("subscribe", stream="news")
        recorder.frames.clear()

        connected = await second.ask("connect", id=1, token=second.token)
        subscribed = await second.ask("subscribe", id=2, stream="news")
        with sync_settings(max_subscriptions=1):
            again = await second.ask("subscribe", id=3, stream="news")
        assert recorder.frames == []
        await first.ask("publish", stream="news", data={"n": 1})
        message = await second.receive()

    assert (connected["type"], connected["identity"]) == ("connected", "alice")
    assert [answer["id"] for answer in (subscribed, again)] == [2, 3]
    assert subscribed["stream"]["unique_name"] == "news"
    assert message["message"]["data"] == {"n": 1}


async def test_a_token_refused_where_it_arrives_gets_the_usual_refusal(
    port: int, recorder: Recorder
) -> None:
    async with json_socket(port), opened(json_socket(port)) as connection:
        recorder.frames.clear()
        error = await connection.ask("connect", id=1, token="no.token.at.all")
        closing = await connection.receive()

    assert (error["type"], error["code"], error["id"]) == ("error", 20101, 1)
    assert (closing["type"], closing["code"]) == ("closing", 4002)
    assert recorder.frames == []


async def test_a_hook_is_asked_before_anybody_subscribes(
    port: int, recorder: Recorder
) -> None:
    hook = "tests.websocket.test_publish_path.nobody"
    async with json_socket(port) as first, json_socket(port) as second:
        await first.ask("subscribe", stream="news")
        with sync_settings(authorize=hook):
            answer = await second.ask("subscribe", stream="news")

    assert answer["code"] == 54007


def nobody(_identity: str, _action: str, _target: object) -> bool:
    """Deny everything."""
    return False


async def test_a_publish_does_not_overtake_a_frame_that_takes_its_time(
    port: int, recorder: Recorder
) -> None:
    numbers = count()

    def publish() -> Frame:
        n = next(numbers)
        return {"type": "publish", "id": n, "stream": "news", "data": {"n": n}}

    async with json_socket(port) as connection:
        connection.send_together(
            *(publish(), publish()),
            {"type": "subscribe", "id": "s", "stream": "news"},
            *(publish() for _ in range(9)),
            {"type": "subscribe", "id": "t", "stream": "t", "mode": "open_or_create"},
            *(publish() for _ in range(9)),
        )
        frames = [await connection.receive() for _ in range(2 + 20 + 18)]

    answers = [frame["id"] for frame in frames if "id" in frame]
    heard = [f["message"]["data"]["n"] for f in frames if f["type"] == "message"]
    assert answers == [0, 1, "s", *range(2, 11), "t", *range(11, 20)]
    assert heard == list(range(2, 20))


async def test_frames_that_are_answered_where_they_arrive_count_too(port: int) -> None:
    publication: dict[str, Any] = {"stream": "news", "data": {}}
    async with json_socket(port) as connection:
        for _ in range(2):
            await connection.ask("publish", **publication)
        published = 0
        with sync_settings(max_frames_per_second=10, publish_rate=1_000):
            await connection.request("publish", **publication)
            while (answer := await connection.receive())["type"] == "published":
                published += 1
                await connection.request("publish", **publication)

    assert answer["code"] == 20429
    # The limit of two seconds, since one may end and another begin meanwhile.
    assert 10 <= published <= 40


async def test_frames_other_than_text_publishes_are_left_to_the_application(
    port: int, recorder: Recorder
) -> None:
    async with json_socket(port) as connection:
        await connection.ask("publish", stream="news", data={})
        recorder.frames.clear()

        await connection.wire.send(b'{"type":"publish"}')
        binary = await connection.receive()
        broken = await connection.ask('"publish"', id=1)
        await connection.wire.send('{"type":"publish"')
        cut = await connection.receive()

    assert [frame["code"] for frame in (binary, broken, cut)] == [20001, 20001, 54008]
    assert len(recorder.frames) == 3


def sdk(port: int) -> AbstractAsyncContextManager[twilsock.Session]:
    url = LocalSite(port).base_url.replace("http", "ws", 1) + twilsock.PATH
    return twilsock.opened(NetworkWire(url, compression=None))


async def publish(session: twilsock.Session, stream: str, data: object) -> Any:
    """Publish as an SDK does; return the reply."""
    path = f"/v3/Streams/{stream}/Messages"
    _, answer = await session.request("POST", path, {"data": data})
    return answer


async def test_an_sdk_publishes_where_its_frame_arrives(
    port: int, recorder: Recorder
) -> None:
    async with sdk(port) as session:
        await session.ask("init", token=ACCOUNT.token())
        await publish(session, "news", {})
        recorder.frames.clear()

        message = await publish(session, "news", {"n": 1})
        refused = await publish(session, "news", [])
        assert recorder.frames == []
        missing = await publish(session, "missing", {})

    assert message["data"] == {"n": 1}
    assert (refused["code"], missing["code"]) == (54008, 54300)
    assert len(recorder.frames) == 1


async def test_sdks_connect_and_subscribe_where_their_frames_arrive(
    port: int, recorder: Recorder, news: Stream
) -> None:
    subscription = twilsock.subscription("establish", news.sid)
    async with (
        json_socket(port) as first,
        json_socket(port),
        sdk(port) as session,
    ):
        await first.ask("subscribe", stream="news")
        await first.ask("publish", stream="news", data={})
        await first.receive()
        recorder.frames.clear()

        welcome = await session.ask("init", token=ACCOUNT.token())
        await session.request("POST", "/v4/Subscriptions", subscription)
        established = twilsock.body_of(await session.receive())
        assert recorder.frames == []
        await first.ask("publish", stream="news", data={"n": 1})
        message = twilsock.body_of(await session.receive())

    assert "init_registrations" in welcome.header
    assert established["event_type"] == "subscription_established"
    assert established["correlation_id"] == 1
    assert message["events"][0]["message_data"] == {"n": 1}
