"""The JSON socket, frame by frame."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from sync_streams import operations
from sync_streams.conf import get_settings
from sync_streams.connections.keys import CHECK_SECONDS
from sync_streams.connections.registry import connections
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import get_hub
from sync_streams.delivery.topic import LINGER_SECONDS
from sync_streams.models import Service, Stream
from sync_streams.tokens import issue_token
from sync_streams.values.sids import is_sid
from tests.clients.json_socket import Frame, LocalSocket
from tests.clock import Jump, settle
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID, OTHER_ACCOUNT_SID
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

MISSING_SID = "TO" + "0" * 32


def in_thread(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return sync_to_async(operation, thread_sensitive=False)(*args, **kwargs)


def is_error(frame: Frame, code: int, status: int) -> bool:
    assert frame["type"] == "error", frame
    assert frame["more_info"].endswith(f"/{code}")
    assert frame["message"]
    return (frame["code"], frame["status"]) == (code, status)


async def test_a_token_says_who_connects(service: Service) -> None:
    async with LocalSocket("alice") as socket:
        expires_at = socket.connected.pop("expires_at")

        assert socket.connected == {
            "type": "connected",
            "id": 1,
            "identity": "alice",
            "service_sid": service.sid,
        }
        assert expires_at.endswith("Z")


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [
        (None, None),
        (["other"], None),
        (["sync-streams.v1"], "sync-streams.v1"),
        (["other", "sync-streams.v1"], "sync-streams.v1"),
    ],
)
async def test_our_subprotocol_is_accepted_where_offered(
    offered: list[str] | None, accepted: str | None
) -> None:
    async with LocalSocket(subprotocols=offered) as socket:
        assert socket.wire.subprotocol == accepted


async def test_a_subscriber_receives_messages_in_order(
    service: Service, stream: Stream
) -> None:
    async with LocalSocket() as socket:
        subscribed = await socket.ask("subscribe", stream="news")

        sids = [
            (await in_thread(operations.publish, service, "news", {"n": n})).sid
            for n in range(10)
        ]
        frames = [await socket.receive() for _ in range(10)]

    assert subscribed["stream"] == {
        "sid": stream.sid,
        "unique_name": "news",
        "date_expires": None,
    }
    assert frames == [
        {
            "type": "message",
            "stream_sid": stream.sid,
            "message": {"sid": sid, "data": {"n": n}},
        }
        for n, sid in enumerate(sids)
    ]


async def test_a_stream_may_be_named_by_sid(stream: Stream) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream=stream.sid)
        published = await socket.ask("publish", stream="news", data={"n": 1})

        message = await socket.receive()

    assert is_sid(published["message_sid"], "TZ")
    assert published["stream_sid"] == stream.sid
    assert message["message"] == {"sid": published["message_sid"], "data": {"n": 1}}


async def test_a_publisher_that_is_not_subscribed_receives_nothing(
    stream: Stream,
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("publish", stream="news", data={})

        assert await socket.receive_nothing()


async def test_unsubscribing_ends_the_messages(stream: Stream) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        unsubscribed = await socket.ask("unsubscribe", stream="news")
        await socket.ask("publish", stream="news", data={})

        assert unsubscribed["stream_sid"] == stream.sid
        assert await socket.receive_nothing()


async def test_unsubscribing_without_a_subscription_is_no_error(stream: Stream) -> None:
    async with LocalSocket() as socket:
        answer = await socket.ask("unsubscribe", stream="news")

    assert answer["type"] == "unsubscribed"


async def test_subscribing_twice_delivers_once(stream: Stream) -> None:
    async with LocalSocket() as socket:
        for ref in ("news", stream.sid, "news"):
            assert (await socket.ask("subscribe", stream=ref))["type"] == "subscribed"
        await socket.ask("publish", stream="news", data={"n": 1})
        await socket.ask("publish", stream="news", data={"n": 2})

        assert await socket.numbers(2) == [1, 2]
        assert await socket.receive_nothing()


async def test_open_or_create_creates_once(service: Service) -> None:
    async with LocalSocket("alice") as alice, LocalSocket("bob") as bob:
        answers = await asyncio.gather(
            alice.ask("subscribe", stream="fresh", mode="open_or_create"),
            bob.ask("subscribe", stream="fresh", mode="open_or_create"),
        )
        await bob.ask("publish", stream="fresh", data={"n": 1})
        assert await alice.numbers(1) == await bob.numbers(1) == [1]

    created = await Stream.objects.aget(unique_name="fresh")
    assert {answer["stream"]["sid"] for answer in answers} == {created.sid}
    assert created.created_by in {"alice", "bob"}


async def test_open_or_create_opens_an_existing_stream(stream: Stream) -> None:
    async with LocalSocket() as socket:
        answer = await socket.ask("subscribe", stream="news", mode="open_or_create")

    assert answer["stream"]["sid"] == stream.sid


@pytest.mark.parametrize(
    ("ref", "mode", "code", "status"),
    [
        ("missing", None, 54300, 404),
        (MISSING_SID, None, 54250, 404),
        (MISSING_SID, "open_or_create", 54250, 404),
        ("x" * 321, "open_or_create", 54302, 400),
        ("a\0b", "open_or_create", 54302, 400),
        ("\ud800", "open_or_create", 54302, 400),
        ("\ud800", None, 54300, 404),
        ("", "open_or_create", 20001, 400),
        (None, None, 20001, 400),
        (["news"], None, 20001, 400),
        ({"sid": "news"}, None, 20001, 400),
    ],
)
async def test_an_impossible_subscription_is_refused(
    ref: object, mode: str | None, code: int, status: int
) -> None:
    async with LocalSocket() as socket:
        answer = await socket.ask("subscribe", stream=ref, mode=mode)

        assert is_error(answer, code, status)
        assert (await socket.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (None, 54251, 400),
        ([], 54008, 400),
        ("{}", 54008, 400),
        (7, 54008, 400),
        ({"a": "x" * 4_089}, 54006, 413),
        ({"a": "\ud800"}, 54008, 400),
    ],
    ids=["none", "list", "text", "number", "4097 bytes", "surrogate"],
)
async def test_bad_data_is_refused(
    stream: Stream, data: object, code: int, status: int
) -> None:
    async with LocalSocket() as socket:
        answer = await socket.ask("publish", stream="news", data=data)

        assert is_error(answer, code, status)


async def test_data_of_4096_bytes_is_published(stream: Stream) -> None:
    data = {"a": "x" * 4_088}
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        answer = await socket.ask("publish", stream="news", data=data)

        assert answer["type"] == "published"
        assert (await socket.receive())["message"]["data"] == data


async def test_publishing_to_a_stream_that_is_not_there_is_refused() -> None:
    async with LocalSocket() as socket:
        answers = [
            await socket.ask("publish", stream=ref, data={})
            for ref in ("missing", MISSING_SID, "\ud800")
        ]

    assert [answer["code"] for answer in answers] == [54300, 54250, 54300]


async def test_publishing_above_the_rate_is_refused(stream: Stream) -> None:
    with sync_settings(publish_rate=3 / 600, publish_window_seconds=600):
        async with LocalSocket() as socket:
            for _ in range(3):
                answer = await socket.ask("publish", stream="news", data={})
                assert answer["type"] == "published"
            answer = await socket.ask("publish", stream="news", data={})

    assert is_error(answer, 54009, 429)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (" ", 54008),
        ("{", 54008),
        ('{"type":"ping","a":NaN}', 54008),
        ("[" * 60_000, 54008),
        ("[]", 20001),
        ("{}", 20001),
        ('{"type":7}', 20001),
        ('{"type":"fly"}', 20001),
        ('{"type":"receive_frame"}', 20001),
        ('{"type":"__init__"}', 20001),
        ('{"type":"' + "x" * 65_530 + '"}', 54006),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_frame_that_makes_no_sense_is_answered(text: str, code: int) -> None:
    async with LocalSocket() as socket:
        await socket.wire.send(text)
        answer = await socket.receive()

        assert answer["code"] == code
        assert answer["id"] is None
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_binary_frame_is_answered() -> None:
    async with LocalSocket() as socket:
        await socket.wire.send(b'{"type":"ping"}')
        answer = await socket.receive()

        assert is_error(answer, 20001, 400)
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_deep_data_is_answered(stream: Stream) -> None:
    async with LocalSocket() as socket:
        for depth in (100, 900, 1_000, 20_000):
            data = '{"a":' * depth + "1" + "}" * depth
            text = f'{{"type":"publish","id":9,"stream":"news","data":{data}}}'
            if len(text) <= 65_536:
                await socket.wire.send(text)
                assert (await socket.receive())["code"] in {54006, 54008}


async def test_a_token_before_anything_else() -> None:
    socket = LocalSocket()
    assert await socket.open()

    for type_ in ("subscribe", "unsubscribe", "publish", "token"):
        answer = await socket.ask(type_, stream="news", data={}, token=socket.token)
        assert is_error(answer, 20003, 401)
    assert (await socket.ask("connect", token=socket.token))["type"] == "connected"
    await socket.leave()


async def test_connecting_twice_is_refused() -> None:
    async with LocalSocket() as socket:
        answer = await socket.ask("connect", token=socket.token)

        assert is_error(answer, 20001, 400)
        assert (await socket.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("token", [None, "", "x", 7, "\ud800", issue_token])
async def test_a_bad_token_is_answered_and_ends_the_connection(token: object) -> None:
    if callable(token):
        token = issue_token("alice", "default")[:-3] + "xxx"
    socket = LocalSocket()
    assert await socket.open()

    answer = await socket.ask("connect", token=token)
    closing, code = await socket.receive_close()

    assert answer["status"] == 401
    assert 20101 <= answer["code"] <= 20107
    assert closing == {
        "type": "closing",
        "code": 4002,
        "reason": "token invalid",
        "reconnect_after": None,
    }
    assert code == 4002


async def test_a_token_of_a_service_that_is_not_there_is_refused() -> None:
    socket = LocalSocket(token=issue_token("alice", "IS" + "0" * 32))
    assert await socket.open()

    assert is_error(await socket.ask("connect", token=socket.token), 54050, 404)
    await socket.leave()


async def test_a_silent_client_is_closed_in_time(jump: Jump) -> None:
    socket = LocalSocket()
    assert await socket.open()
    jump(get_settings().connect_timeout_seconds)
    closing, code = await socket.receive_close()

    assert (closing["code"], code) == (4001, 4001)
    assert closing["reconnect_after"] is not None


async def test_a_client_that_connects_in_time_stays(jump: Jump) -> None:
    async with LocalSocket() as socket:
        jump(2 * get_settings().connect_timeout_seconds)
        for _ in range(2):  # a timer may ring after the first
            assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_token_is_renewed_in_place(stream: Stream) -> None:
    async with LocalSocket(token=issue_token("alice", "default", ttl=300)) as socket:
        await socket.ask("subscribe", stream="news")
        renewed = await socket.ask("token", token=issue_token("alice", "default"))
        await socket.ask("publish", stream="news", data={"n": 1})

        assert renewed["type"] == "token_updated"
        assert renewed["expires_at"] > socket.connected["expires_at"]
        assert await socket.numbers(1) == [1]


async def test_a_token_may_name_the_service_in_any_way(service: Service) -> None:
    async with LocalSocket(service="default") as socket:
        for ref in (service.sid, "default", service.sid):
            answer = await socket.ask("token", token=issue_token("alice", ref))
            assert answer["type"] == "token_updated", ref
    async with LocalSocket(service=service.sid) as socket:
        answer = await socket.ask("token", token=issue_token("alice", "default"))
        assert answer["type"] == "token_updated"


async def test_a_token_of_somebody_else_is_refused_and_changes_nothing(
    service: Service,
) -> None:
    other = await in_thread(operations.create_service, ACCOUNT_SID)
    tokens = [
        issue_token("bob", "default"),
        issue_token("alice", other.sid),
        issue_token("alice", "default", account_sid=OTHER_ACCOUNT_SID),
    ]
    async with LocalSocket("alice") as socket:
        for token in tokens:
            assert is_error(await socket.ask("token", token=token), 51215, 401)
        assert is_error(await socket.ask("token", token="x"), 20101, 401)
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_an_expired_token_ends_the_connection(jump: Jump) -> None:
    async with LocalSocket(token=issue_token("alice", "default", ttl=20)) as socket:
        assert await socket.receive() == {"type": "token_about_to_expire"}
        jump(20)
        closing, code = await socket.receive_close()

    assert (closing["code"], code) == (4003, 4003)
    assert closing["reconnect_after"] is not None


async def test_a_renewed_token_outlives_the_first_one(jump: Jump) -> None:
    async with LocalSocket(token=issue_token("alice", "default", ttl=20)) as socket:
        await socket.ask("token", token=issue_token("alice", "default"))
        jump(20.1)

        assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_client_is_warned_three_minutes_before(jump: Jump) -> None:
    async with LocalSocket(token=issue_token("alice", "default", ttl=190)) as socket:
        assert await socket.receive_nothing()
        jump(10)
        assert await socket.receive() == {"type": "token_about_to_expire"}


async def test_a_removed_key_ends_its_connections(jump: Jump) -> None:
    async with LocalSocket() as socket:
        with sync_settings(accounts={}):
            jump(CHECK_SECONDS)
            closing, _ = await socket.receive_close()

    assert closing["code"] == 4002


async def test_subscriptions_of_a_connection_are_limited(service: Service) -> None:
    for number in range(4):
        await in_thread(operations.create_stream, service, unique_name=str(number))

    with sync_settings(max_subscriptions=3):
        async with LocalSocket() as socket:
            for number in range(3):
                answer = await socket.ask("subscribe", stream=str(number))
                assert answer["type"] == "subscribed"
            assert is_error(await socket.ask("subscribe", stream="3"), 54419, 429)
            again = await socket.ask("subscribe", stream="0")
            assert again["type"] == "subscribed"
            await socket.ask("unsubscribe", stream="0")
            answer = await socket.ask("subscribe", stream="3")
            assert answer["type"] == "subscribed"


def test_a_connection_holds_2000_subscriptions_by_default() -> None:
    assert get_settings().max_subscriptions == 2_000


async def test_a_subscription_that_was_refused_does_not_count(stream: Stream) -> None:
    with sync_settings(max_subscriptions=1):
        async with LocalSocket() as socket:
            for _ in range(3):
                await socket.ask("subscribe", stream="missing")
            answer = await socket.ask("subscribe", stream="news")

    assert answer["type"] == "subscribed"


async def test_a_removal_is_announced_once_to_each_subscriber(
    service: Service, stream: Stream
) -> None:
    async with LocalSocket("alice") as alice, LocalSocket("bob") as bob:
        for socket in (alice, bob):
            await socket.ask("subscribe", stream="news")

        await in_thread(operations.remove_stream, service, "news")

        told = {"type": "stream_removed", "stream_sid": stream.sid}
        for socket in (alice, bob):
            assert await socket.receive() == told
            assert await socket.receive_nothing()
            answer = await socket.ask("publish", stream="news", data={})
            assert is_error(answer, 54300, 404)


async def test_a_removed_stream_frees_its_subscription(
    service: Service, stream: Stream
) -> None:
    await in_thread(operations.create_stream, service, unique_name="other")
    with sync_settings(max_subscriptions=1):
        async with LocalSocket() as socket:
            await socket.ask("subscribe", stream="news")
            await in_thread(operations.remove_stream, service, "news")
            await socket.receive()

            answer = await socket.ask("subscribe", stream="other")
            assert answer["type"] == "subscribed"


async def test_removing_the_service_notifies_its_subscribers(service: Service) -> None:
    stream = await in_thread(operations.create_stream, service, unique_name="news")
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")

        await in_thread(operations.remove_service, service)

        assert (await socket.receive())["stream_sid"] == stream.sid
        answer = await socket.ask("subscribe", stream="x", mode="open_or_create")
        assert is_error(answer, 54050, 404)


async def test_an_expired_stream_is_announced_on_time(
    service: Service, wait: Jump
) -> None:
    stream = await in_thread(
        operations.create_stream, service, unique_name="news", ttl=20
    )
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        wait(15)
        assert (await socket.ask("ping"))["type"] == "pong"
        assert await socket.receive_nothing()

        wait(5)
        assert (await socket.receive())["type"] == "stream_removed"

        now = timezone.now()
        await Stream.objects.filter(sid=stream.sid).aupdate(date_expires=now)
        answer = await socket.ask("publish", stream="news", data={})
        assert is_error(answer, 54300, 404)


async def test_a_name_may_be_used_again_at_once(
    service: Service, stream: Stream
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        await in_thread(operations.remove_stream, service, "news")
        again = await in_thread(operations.create_stream, service, unique_name="news")

        answer = await socket.ask("subscribe", stream="news")
        await socket.ask("publish", stream="news", data={"n": 1})

        assert answer["stream"]["sid"] == again.sid
        assert await socket.numbers(1) == [1]


async def test_too_many_frames_are_refused_and_far_too_many_end_it() -> None:
    with sync_settings(max_frames_per_second=10):
        async with LocalSocket() as socket:
            for _ in range(60):
                await socket.send({"type": "ping", "id": 7})
            answers = [await socket.receive() for _ in range(38)]
            closing, code = await socket.receive_close()

    pongs = [frame for frame in answers if frame["type"] == "pong"]
    assert len(pongs) == 19
    assert is_error(answers[-1], 20429, 429)
    assert (closing["code"], code) == (4004, 4004)
    assert closing["reconnect_after"] is not None


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (None, True),
        (b"https://app.example", True),
        (b"https://evil.example", False),
        (b"https://app.example.evil.example", False),
        (b"http://app.example", False),
        (b"null", False),
        (b"\xff", False),
    ],
)
async def test_pages_of_other_origins_are_refused(
    origin: bytes | None, is_allowed: bool
) -> None:
    headers = [(b"origin", origin)] if origin else []
    with sync_settings(allowed_origins=["https://app.example"]):
        socket = LocalSocket(headers=headers)
        assert await socket.open() == is_allowed
        await socket.leave()


async def test_pages_of_any_origin_are_accepted_by_default() -> None:
    async with LocalSocket(headers=[(b"origin", b"https://evil.example")]) as socket:
        assert socket.connected["type"] == "connected"


async def test_a_failing_database_is_an_error_and_closes_nothing(
    stream: Stream,
) -> None:
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.close()

    table = Stream._meta.db_table
    async with LocalSocket() as socket:
        await in_thread(rename, table, "away")
        try:
            answer = await socket.ask("subscribe", stream="news")
        finally:
            await in_thread(rename, "away", table)

        assert is_error(answer, 20503, 503)
        async with asyncio.timeout(30):
            while answer["type"] == "error":
                await asyncio.sleep(0.1)
                answer = await socket.ask("subscribe", stream="news")
        assert answer["type"] == "subscribed"


async def test_requests_that_are_at_hand_leave_other_clients_their_turn(
    stream: Stream,
) -> None:
    count = 50
    async with LocalSocket() as busy, LocalSocket("bob") as other:
        await busy.ask("publish", stream="news", data={})
        before = counters.published
        with sync_settings(publish_rate=1000):
            for number in range(count):
                await busy.request("publish", stream="news", data={"n": number})

            assert (await other.ask("ping"))["type"] == "pong"

            assert counters.published - before < count
            assert (await busy.ask("ping"))["type"] == "pong"
        assert counters.published - before == count


async def test_a_failing_layer_is_an_error_and_closes_nothing(stream: Stream) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(get_hub().layer, "can_start", lambda _: False)
            patch.setattr(get_hub().layer, "group_send", _fail)
            answer = await socket.ask("publish", stream="news", data={})

        assert is_error(answer, 20503, 503)
        assert (await socket.ask("ping"))["type"] == "pong"


async def _fail(*_: object) -> None:
    raise ConnectionError


async def test_a_connection_that_ends_leaves_no_trace(
    stream: Stream, jump: Jump
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")
        assert get_hub().subscriptions.count(stream.sid) == 1
        before = len(connections)

    jump(LINGER_SECONDS)
    await until(lambda: stream.sid not in get_hub().subscriptions.topics)
    assert len(connections) < before


async def test_a_silent_client_is_asked_and_closed_if_it_says_nothing(
    stream: Stream, jump: Jump
) -> None:
    with sync_settings(keepalive_seconds=0.01):
        async with LocalSocket() as socket:
            assert await socket.receive() == {"type": "ping"}
            for _ in range(2):  # the first look may be at one who was just asked
                jump(get_settings().stuck_timeout_seconds)
                await settle()
            closing, code = await socket.receive_close()

    assert (closing["code"], code) == (4000, 4000)
    assert closing["reconnect_after"] is not None


async def test_a_silent_client_that_pongs_stays(jump: Jump) -> None:
    with sync_settings(keepalive_seconds=0.01):
        async with LocalSocket() as socket:
            for _ in range(4):
                assert await socket.receive() == {"type": "ping"}
                await socket.send({"type": "pong"})
                await socket.ask("ping")  # so the pong has been read
                jump(0.9 * get_settings().stuck_timeout_seconds)


async def test_a_read_only_token_may_subscribe_and_not_publish(stream: Stream) -> None:
    token = issue_token("alice", "default", is_read_only=True)
    async with LocalSocket(token=token) as socket:
        assert (await socket.ask("subscribe", stream="news"))["type"] == "subscribed"
        refused = [
            await socket.ask("publish", stream="news", data={}),
            await socket.ask("subscribe", stream="new", mode="open_or_create"),
        ]

    assert all(is_error(answer, 54007, 403) for answer in refused)


async def test_another_account_sees_nothing(stream: Stream) -> None:
    token = issue_token("alice", "default", account_sid=OTHER_ACCOUNT_SID)
    async with LocalSocket(token=token) as socket:
        for ref, code in (("news", 54300), (stream.sid, 54250)):
            assert is_error(await socket.ask("subscribe", stream=ref), code, 404)
            answer = await socket.ask("publish", stream=ref, data={})
            assert is_error(answer, code, 404)
