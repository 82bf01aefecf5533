"""Requests answered where their frame arrives, on uvicorn's frame path, in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.asyncio.client import ClientConnection, connect

from sync_streams import operations
from sync_streams.cache import lookups
from sync_streams.models import Stream
from sync_streams.tokens import issue_token
from sync_streams.uvicorn import FramePathProtocol
from tests.asgi import application
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID
from tests.uvicorn_server import serving

SECONDS = 20

Frame = dict[str, Any]


class Recorder:
    """An application; keeps the frames that reach it as ASGI events."""

    def __init__(self, application: Any = application) -> None:
        self._application = application
        self.frames: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def recorded() -> Any:
            event = await receive()
            if event["type"] == "websocket.receive":
                text = event.get("text") or event["bytes"].decode()
                self.frames.append(text)
            return event

        await self._application(scope, recorded, send)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Stream]:
    lookups.forget_all()
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    create = sync_to_async(operations.create_stream)
    yield await create(service, unique_name="news")
    lookups.forget_all()


@pytest.fixture
async def port(news: Stream, recorder: Recorder) -> AsyncIterator[int]:
    async with serving(recorder, ws=FramePathProtocol) as port:
        yield port


@asynccontextmanager
async def json_socket(port: int) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{port}/v1/websocket"
    async with connect(url, compression=None) as connection:
        token = issue_token("alice", "default")
        await ask(connection, type="connect", token=token)
        yield connection


async def receive(connection: ClientConnection) -> Frame:
    async with asyncio.timeout(SECONDS):
        frame: Frame = json.loads(await connection.recv())
    return frame


async def ask(connection: ClientConnection, **frame: object) -> Frame:
    await connection.send(json.dumps(frame))
    return await receive(connection)


def together(connection: ClientConnection, *frames: Frame) -> None:
    """Send frames in one piece: the server reads them in one turn."""
    protocol = connection.protocol
    for frame in frames:
        protocol.send_text(json.dumps(frame).encode())
    connection.transport.write(b"".join(protocol.data_to_send()))


async def test_a_publish_to_a_known_stream_is_answered_where_it_arrives(
    port: int, recorder: Recorder
) -> None:
    async with json_socket(port) as connection:
        for _ in range(2):
            await ask(connection, type="publish", stream="news", data={})
        recorder.frames.clear()

        answer = await ask(connection, type="publish", id=7, stream="news", data={})
        refused = await ask(connection, type="publish", id=8, stream="news", data=[])
        await ask(connection, type="ping", id=9)

    assert (answer["type"], answer["id"]) == ("published", 7)
    assert (refused["code"], refused["id"]) == (54008, 8)
    assert [json.loads(frame)["id"] for frame in recorder.frames] == [9]


async def test_clients_connect_and_subscribe_where_their_frames_arrive(
    port: int, recorder: Recorder
) -> None:
    token = issue_token("alice", "default")
    url = f"ws://127.0.0.1:{port}/v1/websocket"
    async with (
        json_socket(port) as first,
        json_socket(port),
        connect(url, compression=None) as second,
    ):
        await ask(first, type="subscribe", stream="news")
        recorder.frames.clear()

        connected = await ask(second, type="connect", id=1, token=token)
        subscribed = await ask(second, type="subscribe", id=2, stream="news")
        with sync_settings(max_subscriptions=1):
            again = await ask(second, type="subscribe", id=3, stream="news")
        assert recorder.frames == []
        await ask(first, type="publish", stream="news", data={"n": 1})
        message = await receive(second)

    assert (connected["type"], connected["identity"]) == ("connected", "alice")
    assert [answer["id"] for answer in (subscribed, again)] == [2, 3]
    assert subscribed["stream"]["unique_name"] == "news"
    assert message["message"]["data"] == {"n": 1}


async def test_a_token_refused_where_it_arrives_is_refused_as_ever(
    port: int, recorder: Recorder
) -> None:
    url = f"ws://127.0.0.1:{port}/v1/websocket"
    async with json_socket(port), connect(url, compression=None) as connection:
        recorder.frames.clear()
        error = await ask(connection, type="connect", id=1, token="no.token.at.all")
        closing = await receive(connection)

    assert (error["type"], error["code"], error["id"]) == ("error", 20101, 1)
    assert (closing["type"], closing["code"]) == ("closing", 4002)
    assert recorder.frames == []


async def test_a_hook_is_asked_before_anybody_subscribes(
    port: int, recorder: Recorder
) -> None:
    hook = "tests.websocket.test_publish_path.nobody"
    async with json_socket(port) as first, json_socket(port) as second:
        await ask(first, type="subscribe", stream="news")
        with sync_settings(authorize=hook):
            answer = await ask(second, type="subscribe", stream="news")

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
        together(
            connection,
            *(publish(), publish()),
            {"type": "subscribe", "id": "s", "stream": "news"},
            *(publish() for _ in range(9)),
            {"type": "subscribe", "id": "t", "stream": "t", "mode": "open_or_create"},
            *(publish() for _ in range(9)),
        )
        frames = [await receive(connection) for _ in range(2 + 20 + 18)]

    answers = [frame["id"] for frame in frames if "id" in frame]
    heard = [f["message"]["data"]["n"] for f in frames if f["type"] == "message"]
    assert answers == [0, 1, "s", *range(2, 11), "t", *range(11, 20)]
    assert heard == list(range(2, 20))


async def test_frames_that_are_answered_where_they_arrive_count_too(port: int) -> None:
    publication = {"type": "publish", "stream": "news", "data": {}}
    async with json_socket(port) as connection:
        for _ in range(2):
            await ask(connection, **publication)
        published = 0
        with sync_settings(max_frames_per_second=10, publish_rate=1_000):
            answer = await ask(connection, **publication)
            while answer["type"] == "published":
                published += 1
                answer = await ask(connection, **publication)

    assert answer["code"] == 20429
    # As many in two seconds, of which one may end and another begin meanwhile.
    assert 10 <= published <= 40


async def test_what_is_not_text_or_no_publish_is_left_to_the_application(
    port: int, recorder: Recorder
) -> None:
    async with json_socket(port) as connection:
        await ask(connection, type="publish", stream="news", data={})
        recorder.frames.clear()

        await connection.send(b'{"type":"publish"}')
        binary = await receive(connection)
        broken = await ask(connection, type='"publish"', id=1)
        await connection.send('{"type":"publish"')
        cut = await receive(connection)

    assert [frame["code"] for frame in (binary, broken, cut)] == [20001, 20001, 54008]
    assert len(recorder.frames) == 3


def twilsock(method: str, frame_id: str, payload: bytes = b"", **fields: Any) -> bytes:
    """Return a frame of an SDK."""
    size = len(payload)
    header = {"method": method, "id": frame_id, **fields, "payload_size": size}
    text = json.dumps(header).encode()
    return b"TWILSOCK V3.0 %d\r\n%b\r\n%b" % (len(text), text, payload)


def publication(frame_id: str, stream: str, data: object) -> bytes:
    """Return an SDK's frame that publishes."""
    path = f"/v3/Streams/{stream}/Messages"
    request = {"host": "x", "method": "POST", "path": path}
    payload = json.dumps({"data": data}).encode()
    return twilsock("message", frame_id, payload, http_request=request)


async def test_an_sdk_publishes_where_its_frame_arrives(
    port: int, recorder: Recorder
) -> None:
    url = f"ws://127.0.0.1:{port}/v3/wsconnect"
    async with connect(url, compression=None) as connection:

        async def reply(frame: bytes) -> bytes:
            await connection.send(frame)
            return bytes(await connection.recv(decode=False))

        token = issue_token("alice", "default")
        await reply(twilsock("init", "TM0", token=token))
        await reply(publication("TM1", "news", {}))
        recorder.frames.clear()

        answer = await reply(publication("TM2", "news", {"n": 1}))
        refused = await reply(publication("TM3", "news", []))
        assert recorder.frames == []
        missing = await reply(publication("TM4", "missing", {}))

    assert b'"TM2"' in answer
    assert b'"data":{"n":1}' in answer
    assert b"54008" in refused
    assert b"54300" in missing
    assert len(recorder.frames) == 1


async def test_sdks_connect_and_subscribe_where_their_frames_arrive(
    port: int, recorder: Recorder, news: Stream
) -> None:
    url = f"ws://127.0.0.1:{port}/v3/wsconnect"
    token = issue_token("alice", "default")
    objects = [{"object_sid": news.sid, "object_type": "stream"}]
    batch = {"event_protocol_version": 4, "action": "establish", "correlation_id": 7}
    payload = json.dumps({**batch, "requests": objects}).encode()
    request = {"host": "x", "method": "POST", "path": "/v4/Subscriptions"}
    establish = twilsock("message", "TM2", payload, http_request=request)
    async with (
        json_socket(port) as first,
        json_socket(port),
        connect(url, compression=None) as sdk,
    ):
        await ask(first, type="subscribe", stream="news")
        await ask(first, type="publish", stream="news", data={})
        await receive(first)
        recorder.frames.clear()

        await sdk.send(twilsock("init", "TM1", token=token))
        welcome = bytes(await sdk.recv(decode=False))
        await sdk.send(establish)
        answers = [bytes(await sdk.recv(decode=False)) for _ in range(2)]
        assert recorder.frames == []
        await ask(first, type="publish", stream="news", data={"n": 1})
        message = bytes(await sdk.recv(decode=False))

    assert b'"init_registrations"' in welcome
    assert b'"subscription_established"' in b"".join(answers)
    assert b'"correlation_id":7' in b"".join(answers)
    assert b'"message_data":{"n":1}' in message
