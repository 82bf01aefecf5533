"""The Twilsock consumer: flow, limits and the end of a connection."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from sync_streams.conf import get_settings
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.keys import CHECK_SECONDS
from sync_streams.connections.registry import connections
from sync_streams.delivery.cluster.stats import figures
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import get_hub
from sync_streams.delivery.outbox import acknowledgements
from sync_streams.twilsock import frames
from sync_streams.twilsock.encoder import MERGED_MAX_BYTES
from sync_streams.twilsock.subscriptions import MAX_BATCH_SIZE
from tests import settings as site
from tests.clients.accounts import OTHER_ACCOUNT
from tests.clients.twilsock import (
    PATH,
    Session,
    body_of,
    connected,
    make_token,
    message_sids,
    opened,
    subscription,
    tunnelled,
)
from tests.clients.wires import LocalWire
from tests.clock import Jump, ManualClock, settle

pytestmark = pytest.mark.django_db(transaction=True)


def configure(settings: Settings, **changes: Any) -> None:
    settings.SYNC_STREAMS = {**site.SYNC_STREAMS, **changes}


@asynccontextmanager
async def subscribed() -> AsyncIterator[tuple[Session, Session, str]]:
    """Give a subscriber, a publisher, and the SID of the Stream that they share."""
    async with connected() as subscriber, connected() as publisher:
        sid = await publisher.create()
        await subscriber.change("establish", sid)
        yield subscriber, publisher, sid


async def test_message_is_encoded_once_for_all_connections() -> None:
    async with connected() as one, connected() as two, connected() as publisher:
        sid = await publisher.create()
        await one.change("establish", sid)
        await two.change("establish", sid)

        await publisher.publish(sid, x=1)

        assert await one.wire.receive() is await two.wire.receive()


async def test_each_connection_gets_its_version_of_the_events() -> None:
    async with connected() as old, connected() as new, connected() as publisher:
        sid = await publisher.create()
        await old.change("establish", sid, version=3)
        await new.change("establish", sid, version=99)

        message_sid = await publisher.publish(sid, x=1)

        seen = {"stream_sid": sid, "message_sid": message_sid, "message_data": {"x": 1}}
        assert body_of(await old.receive())["event"] == seen
        assert body_of(await new.receive())["events"] == [seen]


async def test_version_3_answers_each_stream_of_a_batch_alone() -> None:
    async with connected() as session:
        sids = [await session.create() for _ in range(3)]

        events = await session.change("establish", *sids, version=3)

        assert [body_of(event)["event"]["object_sid"] for event in events] == sids


async def test_publisher_and_remover_are_not_notified() -> None:
    async with connected() as session, connected() as other:
        sid = await session.create()
        await session.change("establish", sid)
        await other.change("establish", sid)

        await session.publish(sid, x=1)
        await session.request("DELETE", f"/v3/Streams/{sid}")

        notified = [body_of(await other.receive())["event_type"] for _ in range(2)]
        assert notified == ["stream_message_published", "stream_removed"]
        assert await session.receive_nothing()


async def test_unacknowledged_messages_wait_and_the_oldest_are_dropped(
    settings: Settings,
) -> None:
    configure(
        settings, IN_FLIGHT_MAX_BYTES=3000, OUTBOX_MAX_MESSAGES=2, PUBLISH_RATE=1000
    )
    async with subscribed() as (slow, publisher, sid):
        sids = [await publisher.publish(sid, number=number) for number in range(30)]
        early = [await slow.receive()]
        while not await slow.receive_nothing():
            early.append(await slow.receive())
        for frame in early:
            await slow.acknowledge(frame)
        late = await slow.receive()

        received = [sid for frame in early for sid in message_sids(frame)]
        assert received == sids[: len(received)]
        assert message_sids(late) == sids[-2:]
        assert len(received) < 15


async def test_messages_that_waited_come_in_one_notification_and_in_order(
    settings: Settings,
) -> None:
    configure(settings, IN_FLIGHT_MAX_BYTES=3000, PUBLISH_RATE=1000)
    async with connected() as slow, connected() as publisher:
        sids = [await publisher.create() for _ in range(2)]
        await slow.change("establish", *sids)

        published = [
            await publisher.publish(sids[number % 2], number=number)
            for number in range(200)
        ]
        received: list[str] = []
        sizes = []
        while len(received) < 200:
            frame = await slow.receive()
            received += message_sids(frame)
            sizes.append((len(message_sids(frame)), len(frame.payload)))
            await slow.acknowledge(frame)

        of_each = [published[number::2] for number in range(2)]
        arrived = [[sid for sid in received if sid in one] for one in of_each]
        assert (len(received), arrived) == (200, of_each)
        assert max(sizes)[0] > 10
        assert max(size for _, size in sizes) <= MERGED_MAX_BYTES
        assert await slow.receive_nothing()


async def test_another_frame_stays_in_its_place(settings: Settings) -> None:
    configure(settings, IN_FLIGHT_MAX_BYTES=3000, PUBLISH_RATE=1000)
    async with connected() as slow, connected() as publisher:
        sid, other = await publisher.create(), await publisher.create()
        await slow.change("establish", sid, other)

        for number in range(20):
            await publisher.publish(sid, number=number)
        await publisher.request("DELETE", f"/v3/Streams/{sid}")
        last = [await publisher.publish(other, number=n) for n in range(2)]
        seen: list[frames.Frame] = []
        while not seen or message_sids(seen[-1]) != last:
            seen.append(await slow.receive())
            await slow.acknowledge(seen[-1])

        kinds = [body_of(frame)["event_type"] for frame in seen]
        assert set(kinds[:-2]) == {"stream_message_published"}
        assert kinds[-2:] == ["stream_removed", "stream_message_published"]
        assert sum(len(message_sids(frame)) for frame in seen[:-2]) == 20


async def test_version_3_gets_each_message_that_waited_alone(
    settings: Settings,
) -> None:
    configure(settings, IN_FLIGHT_MAX_BYTES=3000, PUBLISH_RATE=1000)
    async with connected() as slow, connected() as publisher:
        sid = await publisher.create()
        await slow.change("establish", sid, version=3)

        published = [await publisher.publish(sid, number=n) for n in range(40)]
        for message_sid in published:
            frame = await slow.receive()
            await slow.acknowledge(frame)
            assert body_of(frame)["event"]["message_sid"] == message_sid


async def test_forged_and_repeated_acknowledgements_open_nothing(
    settings: Settings,
) -> None:
    configure(settings, IN_FLIGHT_MAX_BYTES=3000, PUBLISH_RATE=1000)
    async with subscribed() as (slow, publisher, sid):
        for number in range(30):
            await publisher.publish(sid, number=number)
        arrived = [await slow.receive()]
        while not await slow.receive_nothing():
            arrived.append(await slow.receive())
        before = counters.unasked, counters.acknowledged

        for frame_id in ("TM-forged", "TZ" + "0" * 32, *["TM-forged"] * 20):
            await slow.acknowledge(replace(arrived[0], id=frame_id))
        assert await slow.receive_nothing()
        await slow.acknowledge(arrived[0])
        opened = await slow.receive()
        for _ in range(20):
            await slow.acknowledge(arrived[0])

        assert await slow.receive_nothing()
        assert len(message_sids(opened)) > 1
        assert (counters.unasked, counters.acknowledged) == (
            before[0] + 42,
            before[1] + 1,
        )


async def pass_two_looks(jump: Jump) -> None:
    """Let time pass until the server closes whoever it had asked, and read nothing."""
    for _ in range(2):
        jump(get_settings().stuck_timeout_seconds)
        await settle()


async def test_an_operator_sees_acknowledgements_and_their_delay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = ManualClock(1000)
    monkeypatch.setattr(acknowledgements, "monotonic", time)
    async with subscribed() as (slow, publisher, sid):
        await publisher.publish(sid, x=1)
        message = await slow.receive()
        before = figures["acknowledged"]()

        time.now += 3
        await slow.acknowledge(message)
        await slow.ask("put_notification_ctx")

        assert figures["acknowledged"]() == before + 1
        assert figures["slowest_ms"]() == 3000


async def test_client_that_acknowledges_nothing_is_closed(jump: Jump) -> None:
    async with subscribed() as (stuck, publisher, sid):
        await publisher.publish(sid, x=1)
        await stuck.receive()

        await pass_two_looks(jump)

        assert await stuck.closed() == CloseCode.TOO_SLOW


@pytest.mark.parametrize(("excess", "refusal"), [(0, (404, 54300)), (1, (413, 54006))])
async def test_a_frame_may_have_64_kib(excess: int, refusal: tuple[int, int]) -> None:
    async with connected() as session:
        request = tunnelled("DELETE", "/v3/Streams/missing")
        header = {"id": "TM-big", "method": "message", "http_request": request}
        size = 65_536 + excess
        rest = size - len(frames.encode(header, b"x" * 60_000))
        data = frames.encode(header, b"x" * (60_000 + rest))
        assert len(data) == size

        await session.wire.send(data)

        reply = await session.receive()
        code = body_of(reply)["code"]
        assert (reply.header["http_status"]["code"], code) == refusal
        assert (await session.ask("dance")).header["status"]["code"] == 400


async def test_subscriptions_over_the_limit_fail_one_by_one(
    settings: Settings,
) -> None:
    configure(settings, MAX_SUBSCRIPTIONS=2)
    async with connected() as session:
        sids = [await session.create() for _ in range(3)]

        established, failed = await session.change("establish", *sids)
        again = await session.change("establish", *sids[:2])

        objects = [item["object_sid"] for item in body_of(established)["events"]]
        assert objects == sids[:2]
        [failure] = body_of(failed)["events"]
        assert failure["object_sid"] == sids[2]
        assert (failure["error"]["status"], failure["error"]["code"]) == (429, 54419)
        assert len(body_of(again[0])["events"]) == 2


@pytest.mark.parametrize("sid", ["TO" + "0" * 32, "name", "", "IS" + "0" * 32])
async def test_subscription_to_a_missing_stream_fails(sid: str) -> None:
    async with connected() as session:
        await session.create(unique_name="name")

        [failed] = await session.change("establish", sid)

        assert body_of(failed)["event_type"] == "subscription_failed"
        assert body_of(failed)["events"][0]["error"]["code"] == 54250


async def test_cancel_without_a_subscription_succeeds() -> None:
    async with connected() as session:
        [canceled] = await session.change("cancel", "TO" + "0" * 32)

        assert body_of(canceled)["event_type"] == "subscription_canceled"


async def test_end_of_the_connection_ends_its_subscriptions() -> None:
    async with connected() as session:
        sid = await session.create()
        await session.change("establish", sid)
        assert get_hub().subscriptions.count(sid) == 1

    assert get_hub().subscriptions.count(sid) == 0


async def test_removal_of_its_api_key_ends_the_connection(
    settings: Settings, jump: Jump
) -> None:
    async with connected() as session:
        configure(settings, ACCOUNTS={site.ACCOUNT_SID: {"API_KEYS": {}}})
        jump(CHECK_SECONDS)

        assert await session.closed() == CloseCode.TOKEN_INVALID

    async with opened() as again:
        refusal = await again.ask("init", token=make_token())
        assert refusal.header["status"]["errorCode"] == 20103


async def test_read_only_token_may_subscribe_but_not_publish() -> None:
    async with connected() as writer, connected(make_token(read_only=True)) as reader:
        sid = await writer.create()
        [established] = await reader.change("establish", sid)

        status, error = await reader.request(
            "POST", f"/v3/Streams/{sid}/Messages", {"data": {}}
        )

        assert body_of(established)["event_type"] == "subscription_established"
        assert (status, error["code"]) == (403, 54007)


async def test_operator_ends_a_connection_for_good() -> None:
    async with connected() as session:
        for connection in connections:
            connection.close_soon(CloseCode.DISCONNECTED)

        assert (await session.receive()).header["status"]["code"] == 406
        assert await session.closed() == CloseCode.DISCONNECTED


async def test_leaving_server_closes_without_a_notice() -> None:
    async with connected() as session:
        for connection in connections:
            connection.close_soon(CloseCode.GOING_AWAY)

        assert await session.receive_all() == ([], CloseCode.GOING_AWAY)


@pytest.mark.parametrize(("rate", "is_herd"), [(2, False), (1, True)])
async def test_only_clients_of_a_mass_close_are_asked_to_reconnect_later(
    settings: Settings, rate: int, is_herd: bool
) -> None:
    async with connected() as session:
        configure(settings, MAX_CONNECTS_PER_SECOND=rate * len(connections))

        connections.close_all(CloseCode.GOING_AWAY, within=0.5)
        words, code = await session.receive_all()

        assert code == CloseCode.GOING_AWAY
        assert [word.header["status"]["code"] for word in words] == [308] * is_herd


async def test_a_mass_reconnect_is_spread_over_the_time_it_needs(
    settings: Settings,
) -> None:
    pauses = []
    async with AsyncExitStack() as stack:
        herd = [await stack.enter_async_context(connected()) for _ in range(20)]
        configure(settings, MAX_CONNECTS_PER_SECOND=1)

        connections.close_all(CloseCode.GOING_AWAY, within=0.01)
        for session in herd:
            [policy] = body_of(await session.receive()).values()
            pauses.append(policy["reconnect_min_ms"])
            assert policy["reconnect_max_ms"] == 20_000

        assert max(pauses) <= 20_000
        assert len({pause // 5_000 for pause in pauses}) > 1


async def test_full_server_asks_clients_to_wait(
    settings: Settings,
) -> None:
    configure(settings, MAX_CONNECTIONS=0)
    async with opened() as session:
        reply = await session.ask("init", token=make_token())

        status, policy = reply.header["status"], body_of(reply)["backoff_policy"]
        assert (status["code"], status["errorCode"]) == (429, 51202)
        assert 0 < policy["reconnect_min_ms"] < policy["reconnect_max_ms"]
        assert await session.closed() == CloseCode.SERVER_BUSY


async def test_allowed_origins_restrict_the_handshake(settings: Settings) -> None:
    configure(settings, ALLOWED_ORIGINS=["https://app.example.org"])
    outcomes = []

    for origin in (b"https://app.example.org", b"https://evil.example.org"):
        wire = LocalWire(PATH, headers=[(b"origin", origin)])
        outcomes.append(await wire.open())
        await wire.close()

    assert outcomes == [True, False]


async def test_frames_over_the_rate_are_refused_then_end_the_connection(
    settings: Settings,
) -> None:
    configure(settings, MAX_FRAMES_PER_SECOND=5)
    async with connected() as session:
        for _ in range(20):
            await session.send("put_notification_ctx")
        replies, end = await session.receive_all()

        codes = [reply.header["status"]["code"] for reply in replies]
        assert codes[:9] == [200] * 9
        assert set(codes[9:]) == {429}
        assert end == CloseCode.TOO_MANY_FRAMES


async def test_other_accounts_streams_are_not_found() -> None:
    foreign = make_token("eve", account=OTHER_ACCOUNT)
    async with connected() as session, connected(foreign) as stranger:
        sid = await session.create()

        status, error = await stranger.request("GET", f"/v3/Streams/{sid}")
        [failed] = await stranger.change("establish", sid)

        assert (status, error["code"]) == (404, 54250)
        assert body_of(failed)["events"][0]["error"]["code"] == 54250


async def test_frames_that_mean_nothing_here_are_harmless() -> None:
    async with connected() as session:
        await session.send("telemetry.v1", events=[])
        await session.send("reply", status={"code": 200})
        codes = [
            (await session.ask(method)).header["status"]["code"]
            for method in ("dance", "put_notification_ctx", "delete_notification_ctx")
        ]

        assert codes == [400, 200, 200]


async def test_acknowledgement_in_another_order_counts_too(jump: Jump) -> None:
    async with subscribed() as (session, publisher, sid):
        await publisher.publish(sid, x=1)
        message = await session.receive()
        ack = {"method": "reply", "id": message.id, "status": {"code": 200}}

        await session.wire.send(frames.encode(ack))
        await session.ask("put_notification_ctx")  # so it has been read
        await pass_two_looks(jump)

        assert await session.receive_nothing()


@pytest.mark.parametrize("method", ["message", "update"])
async def test_first_frame_must_be_init(method: str) -> None:
    async with opened() as session:
        reply = await session.ask(method, http_request={"path": "/v3/Streams"})

        assert reply.header["status"]["code"] == 401
        assert "http_status" not in reply.header


async def test_second_init_is_refused() -> None:
    async with connected() as session:
        again = await session.ask("init", token=make_token("bob"))

        assert again.header["status"]["code"] == 400


async def test_text_is_not_understood() -> None:
    async with connected() as session:
        await session.wire.send("{}")

        assert await session.closed() == CloseCode.PROTOCOL_VIOLATED


@pytest.mark.parametrize(
    ("registrations", "count"),
    [(None, 0), ("x", 0), ([1, {}], 1), ([{"type": "ers"}] * 99, 16)],
)
async def test_registrations_are_confirmed_within_bounds(
    registrations: object, count: int
) -> None:
    async with opened() as session:
        reply = await session.ask(
            "init", token=make_token(), registrations=registrations
        )

        assert len(reply.header["init_registrations"]) == count


async def test_stream_is_fetched_updated_and_found_by_name() -> None:
    async with connected() as session:
        sid = await session.create(unique_name="a/b ?")

        by_name = await session.request("GET", "/v3/Streams/a%2Fb%20%3F")
        updated = await session.request("POST", f"/v3/Streams/{sid}", {"ttl": 60})
        by_sid = await session.request("GET", f"/v3/Streams/{sid}")

        assert by_name[1]["sid"] == sid
        assert updated == by_sid
        assert by_sid[1]["date_expires"] > by_name[1]["date_created"]


async def test_flood_of_acknowledgements_ends_the_connection(
    settings: Settings,
) -> None:
    configure(settings, MAX_FRAMES_PER_SECOND=5)
    async with connected() as session:
        for _ in range(20):
            await session.send("reply")

        assert await session.receive_all() == ([], CloseCode.TOO_MANY_FRAMES)


async def test_the_second_refused_token_ends_the_connection() -> None:
    async with opened() as session:
        for _ in range(2):  # together: soon after the first, the connection is closed
            await session.send("init", token="not.a.token")
        for _ in range(2):
            refusal = await session.receive()
            assert refusal.header["status"]["errorCode"] == 20101

        assert await session.closed() == CloseCode.TOKEN_INVALID


async def test_unknown_streams_in_a_batch_are_limited() -> None:
    def batch(unknown: int) -> dict[str, object]:
        missing = (f"TO{number:032x}" for number in range(unknown))
        return subscription("establish", sid, *missing)

    async with connected() as session:
        sid = await session.create()
        path = "/v4/Subscriptions"
        allowed, _ = await session.request("POST", path, batch(MAX_BATCH_SIZE))
        refused, error = await session.request("POST", path, batch(MAX_BATCH_SIZE + 1))
        assert get_hub().subscriptions.count(sid) == 1

    assert (allowed, refused, error["code"]) == (200, 400, 20001)
