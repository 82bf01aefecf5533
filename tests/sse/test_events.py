"""Server-Sent Events: what is sent, to which clients, and how it ends."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient, AsyncRequestFactory

from sync_streams import operations
from sync_streams.concurrency import BoundedRequests
from sync_streams.conf import get_settings
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import connections
from sync_streams.delivery.hub import get_hub
from sync_streams.publishing import apublish
from sync_streams.sse.views import stream_events
from sync_streams.tokens import issue_token
from sync_streams.uvicorn import BoundedHttpProtocol
from tests.clients.accounts import ACCOUNT
from tests.clock import Jump
from tests.delivery.hubs import REDIS_LAYERS, hub_over
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.proxy import Proxy
from tests.sse.conftest import CLASSES, Site, lines_of_curl
from tests.uvicorn_server import serving
from tests.waiting import until

if TYPE_CHECKING:
    from tests.clients.sse import Event

remove = sync_to_async(operations.remove_stream)


async def until_nobody_is_connected() -> None:
    await until(lambda: not len(connections))


async def test_a_message_reaches_an_event_stream(site: Site) -> None:
    async with site.rest("board") as events:
        message = await apublish("board", {"text": "Grüße\n"})
        event = await events.next()

    assert events.answer.headers["Content-Type"] == "text/event-stream"
    assert events.answer.headers["X-Accel-Buffering"] == "no"
    assert "no-store" in events.answer.headers["Cache-Control"]
    assert (event.name, event.id) == ("message", message.sid)
    assert event.json == {
        "stream_sid": message.stream_sid,
        "message": {"sid": message.sid, "data": {"text": "Grüße\n"}},
    }


async def test_messages_arrive_whole_and_in_order(site: Site) -> None:
    with sync_settings(publish_rate=10_000):
        async with site.rest("board") as events:
            for number in range(300):
                await apublish("board", {"n": number, "pad": "x" * 500})
            got = [(await events.next()).json for _ in range(300)]

    assert [event["message"]["data"]["n"] for event in got] == list(range(300))


async def test_one_response_carries_several_streams(site: Site) -> None:
    async with site.rest("board", "?stream=news&stream=board") as events:
        await apublish("news", {"n": 1})
        await apublish("board", {"n": 2})
        got = [(await events.next()).json["stream_sid"] for _ in range(2)]

    assert got == [site.streams["news"].sid, site.streams["board"].sid]


async def test_an_access_token_opens_its_own_service_only(site: Site) -> None:
    other = await sync_to_async(operations.create_service)(site.service.account_sid)

    async with site.as_identity("board") as events:
        await apublish("board", {"n": 1})
        assert (await events.next()).json["message"]["data"] == {"n": 1}
    async with site.as_identity("board", service=other.sid) as refused:
        assert refused.answer.status == 403
        assert (await refused.answer.json())["code"] == 54007


REFUSED: list[tuple[str, dict[str, str], int, int]] = [
    ("board", {"Authorization": ""}, 401, 20003),
    ("board", {"Authorization": "Basic eDp5"}, 401, 20003),
    ("board", {"Authorization": "Bearer x.y.z"}, 401, 20101),
    ("nowhere", {}, 404, 20404),
]


@pytest.mark.parametrize(("ref", "headers", "status", "code"), REFUSED)
async def test_a_refusal_is_an_error_in_json(
    site: Site, ref: str, headers: dict[str, str], status: int, code: int
) -> None:
    async with site.rest(ref, **headers) as events:
        body = await events.answer.json()

    assert events.answer.status == body["status"] == status
    assert body["code"] == code
    assert set(body) == {"code", "message", "more_info", "status"}


@pytest.mark.parametrize("method", ["post", "put", "delete"])
async def test_other_methods_are_not_allowed(site: Site, method: str) -> None:
    client: Any = AsyncClient(enforce_csrf_checks=True)
    send = getattr(client, method)
    answer = await send("/v1/Services/default/Streams/board/Events")

    assert (answer.status_code, answer.json()["code"]) == (405, 20004)


async def test_a_hook_decides_for_access_tokens(site: Site) -> None:
    def authorize(identity: str, action: str, _: object) -> bool:
        return (identity, action) != ("alice", "subscribe")

    with sync_settings(authorize=authorize):
        async with site.as_identity("board") as events:
            assert events.answer.status == 403


async def test_a_hosts_view_refuses_users_who_are_not_logged_in(site: Site) -> None:
    async with site.open("/mine") as events:
        assert events.answer.status == 403
        assert (await events.answer.json())["code"] == 54007


async def test_a_logged_in_user_reads_a_hosts_view(
    site: Site, django_user_model: Any
) -> None:
    user = await django_user_model.objects.acreate(username="ada")
    client: Any = AsyncClient()
    await client.aforce_login(user)
    cookie = client.cookies["sessionid"].value

    async with site.open("/mine", Cookie=f"sessionid={cookie}") as events:
        await apublish("board", {"n": 1})
        assert (await events.next()).json["message"]["data"] == {"n": 1}


async def test_a_public_view_serves_anyone(site: Site) -> None:
    async with site.open("/public") as events:
        await apublish("news", {"n": 1})
        assert (await events.next()).name == "message"
    async with site.open("/missing") as refused:
        assert (await refused.answer.json())["code"] == 20404


async def test_a_renderer_writes_the_text_of_many_lines(site: Site) -> None:
    async with site.open("/rendered") as events:
        await apublish("board", {"text": "<b>\r\nevent: x"})
        event = await events.next()

    assert event.name == "message"
    assert event.text == "<li>\n&lt;b&gt;\nevent: x</li>"


async def test_a_removed_stream_is_announced_and_ends_the_response(site: Site) -> None:
    async with site.rest("board") as events:
        await remove(site.service, "board")
        event = await events.next()
        with pytest.raises(EOFError):
            await events.next()

    assert event.name == "removed"
    assert event.json == {"stream_sid": site.streams["board"].sid}


async def test_a_client_that_was_disconnected_gets_a_gap(site: Site) -> None:
    async with site.rest("board", Last_Event_ID="TZ0") as events:
        event = await events.next()

    assert event.name == "gap"
    assert event.json == {"stream_sid": site.streams["board"].sid, "dropped": None}


async def test_silence_is_broken_by_comments(site: Site) -> None:
    with sync_settings(keepalive_seconds=0.05):
        async with site.rest("board") as events:
            while events.comments < 2:
                line = await events.answer.content.readline()
                assert line in {b":\n", b"\n"}
                events.comments += line == b":\n"


async def test_a_stopping_process_says_when_to_reconnect(site: Site) -> None:
    async with site.rest("board") as events:
        connections.close_all(CloseCode.GOING_AWAY, within=0.01)
        event = await events.next()
        with pytest.raises(EOFError):
            await events.next()

    assert event.name == "closing"
    assert event.json["code"] == 4008
    assert int(event.retry) == round(event.json["reconnect_after"] * 1000)


async def test_an_expired_token_ends_the_response(site: Site, jump: Jump) -> None:
    async with site.as_identity("board", ttl=20) as events:
        jump(20)
        event = await events.next()

    assert (event.name, event.json["code"]) == ("closing", 4003)


async def test_a_client_that_leaves_is_forgotten(site: Site) -> None:
    async with site.rest("board"):
        assert get_hub().subscriptions.count(site.streams["board"].sid) == 1
        assert len(connections) == 1
    await until_nobody_is_connected()

    assert get_hub().subscriptions.count(site.streams["board"].sid) == 0


async def test_a_response_that_is_never_read_is_forgotten(
    site: Site, jump: Jump
) -> None:
    request = AsyncRequestFactory().get("/", headers=ACCOUNT.headers)
    response = await stream_events(request, "default", "board")
    assert response.status_code == 200
    assert get_hub().subscriptions.count(site.streams["board"].sid) == 1
    jump(get_settings().connect_timeout_seconds)
    await until_nobody_is_connected()

    assert get_hub().subscriptions.count(site.streams["board"].sid) == 0


async def test_a_stalled_reader_loses_only_its_own_messages_and_gets_a_gap(
    site: Site,
) -> None:
    got: list[Event] = []
    with sync_settings(publish_rate=100_000, stuck_timeout_seconds=60):
        async with site.rest("board") as stalled, site.rest("board") as reading:
            # More than the sockets of both sides hold, and the backlog besides.
            for number in range(6_000):
                await apublish("board", {"n": number, "pad": "x" * 3_900})
                event = await reading.next()
                assert event.json["message"]["data"]["n"] == number
            while not got or '"n":5999' not in got[-1].text:
                got.append(await stalled.next())

    gaps = [event.json["dropped"] for event in got if event.name == "gap"]
    messages = [event for event in got if event.name == "message"]
    assert gaps
    assert sum(gaps) + len(messages) == 6_000


async def test_a_response_that_begins_too_late_says_when_to_reconnect(
    site: Site,
) -> None:
    request = AsyncRequestFactory().get("/", headers=ACCOUNT.headers)
    with sync_settings(connect_timeout_seconds=0):
        response: Any = await stream_events(request, "default", "board")
    await until_nobody_is_connected()
    [text] = [data async for data in response.streaming_content]

    assert text.startswith(b"event: closing\nretry: ")
    assert b'"code":4006,"reason":"server busy","reconnect_after":' in text


@pytest.mark.redis
async def test_a_client_whose_subscriptions_take_too_long_is_forgotten(
    site: Site, redis_server: RedisServer
) -> None:
    async with Proxy(redis_server.port, delay=0.1) as late:
        config = {"hosts": [late.url]}
        layer = {"BACKEND": REDIS_LAYERS["redis"], "CONFIG": config}
        async with hub_over(layer) as hub:
            url = "/?stream=news"
            request = AsyncRequestFactory().get(url, headers=ACCOUNT.headers)
            with sync_settings(connect_timeout_seconds=0.05):
                response: Any = await stream_events(request, "default", "board")
            [text] = [data async for data in response.streaming_content]

            assert text.startswith(b"event: closing\nretry: ")
            assert hub.subscriptions.total == 0


async def in_disguise(scope: Any, receive: Any, send: Any) -> None:
    """Answer as Django does, but do not call an event stream one."""

    async def send_on(event: Any) -> None:
        headers = event.get("headers", ())
        plain = [pair for pair in headers if pair[0].lower() != b"content-type"]
        await send({**event, "headers": plain} if headers else event)

    await ASGIHandler()(scope, receive, send_on)


@pytest.mark.parametrize("application", [ASGIHandler(), in_disguise])
async def test_event_streams_hold_no_place_of_other_requests(
    site: Site, application: Any
) -> None:
    bounded = BoundedRequests(application)
    with sync_settings(max_requests=1):
        async with serving(bounded, http=CLASSES["past-asgi"]) as port:
            other = replace(site, origin=f"http://127.0.0.1:{port}")
            async with other.open("/public"), other.open("/public") as last:
                await apublish("board", {"n": 1})
                assert (await last.next()).name == "message"


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
async def test_event_streams_do_not_count_as_http_connections(
    site: Site, accept: str
) -> None:
    crowd = BoundedHttpProtocol.crowd
    with sync_settings(max_http_connections=1):
        async with AsyncExitStack() as stack:
            opened = [site.open("/public", Accept=accept) for _ in range(4)]
            for events in opened:
                await stack.enter_async_context(events)
            await apublish("board", {"n": 1})
            for events in opened:
                assert (await events.next()).name == "message"
            assert len(crowd) == 0

            await remove(site.service, "board")
            await remove(site.service, "news")
            for events in opened:
                assert [(await events.next()).name for _ in range(2)] == ["removed"] * 2
                with pytest.raises(EOFError):
                    await events.next()
    assert len(crowd) <= 4


async def test_a_process_that_is_full_refuses(site: Site) -> None:
    with sync_settings(max_connects_per_second=0):
        async with site.rest("board") as events:
            assert events.answer.status == 429
            assert (await events.answer.json())["code"] == 20429


async def test_a_refused_subscription_leaves_nothing_behind(site: Site) -> None:
    with sync_settings(max_subscriptions=1):
        async with site.rest("board", "?stream=news") as events:
            assert (await events.answer.json())["code"] == 54419

    assert len(connections) == 0
    assert get_hub().subscriptions.count(site.streams["board"].sid) == 0


@pytest.mark.django_db
def test_events_are_for_asgi_only(client: Any) -> None:
    token = issue_token("alice", "default")
    path = "/v1/Services/default/Streams/board/Events"

    answer = client.get(path, headers={"authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (503, 20503)


async def test_curl_reads_events_as_they_come(site: Site) -> None:
    url = f"{site.origin}/public"
    lines = await lines_of_curl(url)

    assert lines[1] == b"event: message\n"
