"""The contract: size, rate, names, TTL and delivery, the same on every transport."""

from collections.abc import Awaitable
from typing import Any

import pytest

from sync_streams.models import Service, Stream
from sync_streams.values.sids import is_sid
from tests.clients.json_socket import LocalSocket
from tests.clock import Jump, settle
from tests.contract.transports import Refused, Transport
from tests.overrides import sync_settings

MISSING_SID = "TO" + "0" * 32
NOT_FOUND = {20404, 54250, 54300}
YEAR = 31_536_000


async def refusal(call: Awaitable[object]) -> tuple[int, int]:
    """Return the status and the code of a call that must be refused."""
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.status, refused.value.code


async def assert_not_found(call: Awaitable[object]) -> None:
    status, code = await refusal(call)
    assert status == 404
    assert code in NOT_FOUND


async def test_a_message_reaches_every_subscriber_at_once(transport: Transport) -> None:
    sid = await transport.create("news")
    async with LocalSocket("alice") as alice, LocalSocket("bob") as bob:
        for socket, ref in ((alice, "news"), (bob, sid)):
            await socket.ask("subscribe", stream=ref)

        message_sid = await transport.publish(
            "news", {"text": "\u20ac\U0001f600\u2028\0"}
        )

        for socket in (alice, bob):
            assert await socket.receive() == {
                "type": "message",
                "stream_sid": sid,
                "message": {
                    "sid": message_sid,
                    "data": {"text": "\u20ac\U0001f600\u2028\0"},
                },
            }


async def test_messages_of_one_publisher_arrive_in_order(
    transport: Transport, subscriber: LocalSocket
) -> None:
    sid = await transport.create("news")
    await subscriber.ask("subscribe", stream=sid)

    for number in range(30):
        await transport.publish(sid, {"n": number})

    assert await subscriber.numbers(30) == list(range(30))


async def test_messages_are_for_those_who_are_subscribed_now(
    transport: Transport, subscriber: LocalSocket
) -> None:
    await transport.create("news")

    await transport.publish("news", {"n": 1})
    await subscriber.ask("subscribe", stream="news")
    await transport.publish("news", {"n": 2})
    await subscriber.ask("unsubscribe", stream="news")
    await transport.publish("news", {"n": 3})

    assert await subscriber.numbers(1) == [2]
    assert await subscriber.receive_nothing()


async def test_a_message_has_a_sid_of_its_own(transport: Transport) -> None:
    await transport.create("news")

    sids = {await transport.publish("news", {}) for _ in range(3)}

    assert len(sids) == 3
    assert all(is_sid(sid, "TZ") for sid in sids)


VALUES: list[dict[str, Any]] = [
    {},
    {"": ""},
    {"a": None, "b": True, "c": [], "d": {}},
    {"a": 0, "b": -1, "c": 1.5, "d": 1e300, "e": 2**63, "f": 10**30},
    {'"\\/\b\f\n\r\t': "\x7f\u0085\u2029\ufeff"},
    {"+": "a+b&c=d%20;"},
]


@pytest.mark.parametrize("data", VALUES, ids=repr)
async def test_data_arrives_as_it_was_published(
    transport: Transport, subscriber: LocalSocket, data: dict[str, Any]
) -> None:
    await transport.create("news")
    await subscriber.ask("subscribe", stream="news")

    await transport.publish("news", data)

    assert (await subscriber.receive())["message"]["data"] == data


@pytest.mark.parametrize("letter", ["x", "\u20ac"])
async def test_data_of_4096_bytes_passes_and_of_4097_does_not(
    transport: Transport, subscriber: LocalSocket, letter: str
) -> None:
    count, rest = divmod(4_096 - len('{"a":""}'), len(letter.encode()))
    data = {"a": letter * count + "x" * rest}
    await transport.create("news")
    await subscriber.ask("subscribe", stream="news")

    await transport.publish("news", data)

    assert (await subscriber.receive())["message"]["data"] == data
    assert await refusal(transport.publish("news", {"a": data["a"] + "x"})) == (
        413,
        54006,
    )


@pytest.mark.parametrize("data", [[], "text", 7, True, [{}]], ids=repr)
async def test_data_that_is_no_object_is_refused(
    transport: Transport, data: object
) -> None:
    await transport.create("news")

    assert await refusal(transport.publish("news", data)) == (400, 54008)


async def test_a_message_without_data_is_refused(transport: Transport) -> None:
    await transport.create("news")

    assert await refusal(transport.publish("news", None)) == (400, 54251)


@pytest.mark.parametrize("number", [10**309, -(10**400), float("inf"), float("nan")])
async def test_a_number_beyond_a_double_is_refused(
    transport: Transport, number: float
) -> None:
    await transport.create("news")

    assert await refusal(transport.publish("news", {"n": [number]})) == (400, 54008)


@pytest.mark.parametrize("number", [2**1023, -(10**308), 1.7976931348623157e308])
async def test_a_number_within_a_double_arrives(
    transport: Transport, subscriber: LocalSocket, number: float
) -> None:
    await transport.create("news")
    await subscriber.ask("subscribe", stream="news")

    await transport.publish("news", {"n": number})

    assert await subscriber.numbers(1) == [number]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"], ids=ascii)
async def test_a_lone_surrogate_is_refused(transport: Transport, text: str) -> None:
    await transport.create("news")

    assert await refusal(transport.publish("news", {"a": text})) == (400, 54008)
    assert await refusal(transport.publish("news", {text: "a"})) == (400, 54008)


async def test_data_of_64_levels_passes_and_of_65_does_not(
    transport: Transport,
) -> None:
    data: dict[str, Any] = {}
    for _ in range(63):
        data = {"a": data}
    await transport.create("news")

    await transport.publish("news", data)

    assert await refusal(transport.publish("news", {"a": data})) == (400, 54008)


async def test_the_rate_holds_on_every_transport(transport: Transport) -> None:
    sid = await transport.create("news")
    with sync_settings(publish_rate=3 / 600, publish_window_seconds=600):
        for _ in range(3):
            await transport.publish("news", {})

        assert await refusal(transport.publish("news", {})) == (429, 54009)
        assert await refusal(transport.publish(sid, {})) == (429, 54009)


async def test_a_refused_message_reaches_no_one(
    transport: Transport, subscriber: LocalSocket
) -> None:
    await transport.create("news")
    await subscriber.ask("subscribe", stream="news")
    with sync_settings(publish_rate=1 / 600, publish_window_seconds=600):
        await transport.publish("news", {"n": 1})
        await refusal(transport.publish("news", {"n": 2}))
        await refusal(transport.publish("news", []))

    assert await subscriber.numbers(1) == [1]
    assert await subscriber.receive_nothing()


@pytest.mark.parametrize("ref", ["missing", MISSING_SID, "default", "TO", "%"])
async def test_a_stream_that_is_not_there_is_not_found(
    transport: Transport, ref: str
) -> None:
    await assert_not_found(transport.publish(ref, {}))


async def test_an_expired_stream_is_not_found(
    transport: Transport, subscriber: LocalSocket
) -> None:
    with sync_settings(cache_seconds=0):
        sid = await transport.create("news")
        await Stream.objects.filter(sid=sid).aupdate(date_expires="2026-01-01T00:00Z")

        await assert_not_found(transport.publish("news", {}))
        await assert_not_found(transport.publish(sid, {}))


NAMES = [
    "x",
    "x" * 320,
    "\u20ac" * 320,
    "a b",
    "a+b",
    "a%2Fb",
    "a?b#c&d=e",
    "..;\\",
    "\"'<>",
    "\u2764\ufe0f\U0001f600",
    "default",
    f"to{'0' * 32}",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_stream_is_found_by_its_name(
    transport: Transport, subscriber: LocalSocket, name: str
) -> None:
    sid = await transport.create(name)
    answer = await subscriber.ask("subscribe", stream=name)

    await transport.publish(name, {"n": 1})

    assert answer["stream"]["sid"] == sid
    assert await subscriber.numbers(1) == [1]


BAD_NAMES = [
    "x" * 321,
    "a\0b",
    ".",
    "..",
    "../../default",
    "%2e%2e",
    " ",
    "\u3000",
    "a\nb",
    "\x85",
    "a\u202eb",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
async def test_a_bad_name_is_refused(transport: Transport, name: str) -> None:
    assert await refusal(transport.create(name)) == (400, 54302)
    assert not await Stream.objects.aexists()


async def test_a_name_like_a_sid_is_refused(managing: Transport) -> None:
    assert await refusal(managing.create(f"AB{'0' * 32}")) == (400, 54302)


@pytest.mark.parametrize("name", [".", "..", "../x"])
async def test_a_stream_with_a_name_that_is_refused_today_is_reached_by_its_sid(
    managing: Transport, service: Service, subscriber: LocalSocket, name: str
) -> None:
    stream = await Stream.objects.acreate(
        service=service, account_sid=service.account_sid, unique_name=name
    )
    answer = await subscriber.ask("subscribe", stream=stream.sid)

    await managing.publish(stream.sid, {"n": 1})
    await managing.update(stream.sid, 60)
    await managing.remove(stream.sid)

    assert answer["stream"]["unique_name"] == name
    assert await subscriber.numbers(1) == [1]
    assert (await subscriber.receive())["type"] == "stream_removed"


async def test_a_name_is_taken_once(managing: Transport) -> None:
    await managing.create("news")

    assert await refusal(managing.create("news")) == (409, 54301)


async def test_a_stream_needs_no_name(
    managing: Transport, subscriber: LocalSocket
) -> None:
    sid = await managing.create()
    await subscriber.ask("subscribe", stream=sid)

    await managing.publish(sid, {"n": 1})

    assert await subscriber.numbers(1) == [1]


async def test_a_removed_stream_is_announced_and_gone_at_once(
    managing: Transport, subscriber: LocalSocket
) -> None:
    sid = await managing.create("news")
    await subscriber.ask("subscribe", stream="news")
    await managing.publish("news", {"n": 1})

    await managing.remove("news")

    await assert_not_found(managing.publish("news", {}))
    await assert_not_found(managing.publish(sid, {}))
    await assert_not_found(managing.remove("news"))
    assert (await subscriber.receive())["message"]["data"] == {"n": 1}
    assert await subscriber.receive() == {"type": "stream_removed", "stream_sid": sid}
    assert await subscriber.receive_nothing()


async def test_the_name_of_a_removed_stream_is_free(managing: Transport) -> None:
    first = await managing.create("news")
    await managing.remove(first)

    second = await managing.create("news")

    assert second != first
    assert is_sid(await managing.publish("news", {}), "TZ")


@pytest.mark.parametrize("ttl", [0, 1, YEAR])
async def test_a_ttl_of_0_to_a_year_is_taken(managing: Transport, ttl: int) -> None:
    sid = await managing.create("news", ttl)
    await managing.update("news", ttl)

    stream = await Stream.objects.aget(sid=sid)
    assert (stream.date_expires is None) == (ttl == 0)


@pytest.mark.parametrize("ttl", [-1, YEAR + 1])
async def test_any_other_ttl_is_refused(managing: Transport, ttl: int) -> None:
    await managing.create("news")

    assert await refusal(managing.create("other", ttl)) == (400, 54011)
    assert await refusal(managing.update("news", ttl)) == (400, 54011)


async def test_a_stream_expires_when_its_ttl_is_over(
    managing: Transport, subscriber: LocalSocket
) -> None:
    sid = await managing.create("news", 1)
    await subscriber.ask("subscribe", stream="news")

    assert await subscriber.receive() == {"type": "stream_removed", "stream_sid": sid}

    await assert_not_found(managing.publish("news", {}))
    await assert_not_found(managing.publish(sid, {}))
    await assert_not_found(managing.update("news", 60))
    assert await managing.create("news") != sid


async def test_a_longer_ttl_reaches_subscribers(
    managing: Transport, subscriber: LocalSocket, wait: Jump
) -> None:
    await managing.create("news", 20)
    await subscriber.ask("subscribe", stream="news")

    await managing.update("news", 60)
    wait(21)
    await settle()
    await managing.publish("news", {"n": 1})

    assert await subscriber.numbers(1) == [1]
