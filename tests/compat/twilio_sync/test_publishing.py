"""Checklist C40 to C49: Messages from and to SDKs."""

import asyncio
import time
from typing import Any

import pytest

from sync_streams.twilsock.encoder import MERGED_MAX_BYTES
from tests.compat.twilio_sync.rig import Rig, every_version, new_name
from tests.compat.twilio_sync.sdk import SdkError, SdkStream

DATA = [
    {"text": "žluťoučký kůň 🐎", "nested": {"list": [1, [2, {"x": None}]]}},
    {"numbers": [0, -1, 1.5, 1e21, 9007199254740991, 1e-7], "flags": [True, False]},
    {"": "empty key", "quotes\"'\\": "\u0000\n\u2028", "__proto__x": {}},
]


async def caught_up(rig: Rig, *streams: SdkStream) -> None:
    """Wait until every stream has seen a Message that was published just now."""
    sid = await rig.publish(streams[0].sid, {"marker": True})
    for stream in streams:
        await stream.message(sid)


def filled(size: int) -> dict[str, str]:
    return {"x": "y" * (size - len('{"x":""}'))}


@every_version
async def test_c40_publisher_and_others_each_see_a_message_once(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    sid = await mine.publish({"x": 1})
    await caught_up(rig, mine, theirs)

    seen = {"sid": sid, "data": {"x": 1}}
    assert mine.messages[:-1] == [{**seen, "isLocal": True}]
    assert theirs.messages[:-1] == [{**seen, "isLocal": False}]


@every_version
async def test_c41_message_published_over_rest_is_remote_for_every_client(
    rig: Rig,
) -> None:
    mine, theirs = await rig.pair()

    sid = await rig.publish(mine.sid, {"x": 1})

    for stream in (mine, theirs):
        message = await stream.message(sid)
        assert message == {"sid": sid, "data": {"x": 1}, "isLocal": False}


async def test_c42_other_connection_of_the_same_identity_is_notified(rig: Rig) -> None:
    name = new_name()
    mine = await (await rig.client("alice")).stream(name)
    other_tab = await (await rig.client("alice")).stream(name)
    await rig.wire.subscribed(2)

    sid = await mine.publish({"x": 1})

    assert (await other_tab.message(sid))["isLocal"] is False


@pytest.mark.parametrize("data", DATA)
async def test_c43_data_arrives_as_it_was_sent(rig: Rig, data: Any) -> None:
    mine, theirs = await rig.pair()

    sid = await mine.publish(data)

    assert (await theirs.message(sid))["data"] == data


async def test_c44_empty_object_is_a_message(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    sid = await mine.publish({})

    assert (await theirs.message(sid))["data"] == {}


@every_version
async def test_c45_thirty_messages_arrive_once_and_in_order(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    sids = [await mine.publish({"number": number}) for number in range(30)]
    await theirs.message(sids[-1])

    assert [message["sid"] for message in theirs.messages] == sids


async def flood(rig: Rig, sids: list[str]) -> dict[str, list[str]]:
    """Publish more than may be unacknowledged, then as much again; by Stream."""
    published: dict[str, list[str]] = {sid: [] for sid in sids}
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token("carol"))
        for size in [4000] * 14 + [20] * 12:
            for sid in sids:
                path = f"/v3/Streams/{sid}/Messages"
                body = {"data": filled(size)}
                status, message = await peer.request("POST", path, body)
                assert status == 201, message
                published[sid].append(message["sid"])
    return published


@every_version
async def test_messages_that_waited_arrive_once_in_order_and_together(
    rig: Rig, package: str
) -> None:
    client = await rig.client()
    streams = [await client.stream(new_name()) for _ in range(5)]
    await rig.wire.subscribed(5)

    rig.wire.hears_clients.clear()
    published = await flood(rig, [stream.sid for stream in streams])
    rig.wire.hears_clients.set()

    for stream in streams:
        await stream.message(published[stream.sid][-1])
        sids = [message["sid"] for message in stream.messages]
        assert sids == published[stream.sid]
    notified = rig.wire.events("stream_message_published")
    most = max(len(one.body.get("events", [1])) for one in notified)
    assert (most > 10) == (package != "twilio-sync-3.0")
    assert max(len(one.data) for one in notified) <= MERGED_MAX_BYTES


async def test_c46_message_is_not_stored(rig: Rig) -> None:
    name = new_name()
    early = await (await rig.client()).stream(name)
    await early.publish({"early": True})

    late = await (await rig.client("bob")).stream(name)
    await rig.wire.subscribed(2)
    await caught_up(rig, late)

    assert [message["data"] for message in late.messages] == [{"marker": True}]


async def test_c47_data_of_4096_bytes_passes_and_of_4097_does_not(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    for size in (4097, 70_000):  # the second is larger than a frame may be
        with pytest.raises(SdkError) as refused:
            await mine.publish(filled(size))
        assert (refused.value.status, refused.value.code) == (413, 54006)
    sid = await mine.publish(filled(4096))

    await theirs.message(sid)
    assert [message["data"] for message in theirs.messages] == [filled(4096)]


@every_version
async def test_c48_burst_over_the_rate_is_refused_and_not_retried(rig: Rig) -> None:
    mine, _ = await rig.pair()
    path = f"POST /v3/Streams/{mine.sid}/Messages"

    results = await asyncio.gather(
        *(mine.publish({"number": number}) for number in range(60)),
        return_exceptions=True,
    )

    errors = [result for result in results if isinstance(result, SdkError)]
    assert 0 < len(errors) <= 30
    assert {(error.status, error.code) for error in errors} == {(429, 54009)}
    assert rig.wire.requests().count(path) == 60
    await recovered(mine)


async def recovered(stream: SdkStream) -> None:
    """Publish until it is accepted, which must be within seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            await stream.publish({})
        except SdkError:
            await asyncio.sleep(0.1)
        else:
            return
    pytest.fail("the rate limit does not let go")


async def test_c49_publish_to_a_removed_stream_is_not_found(rig: Rig) -> None:
    mine, theirs = await rig.pair()
    await theirs.remove()

    with pytest.raises(SdkError) as refused:
        await mine.publish({})

    assert (refused.value.status, refused.value.code) == (404, 54250)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{}", 400, 54251, id="no data"),
        pytest.param(b'{"data":[]}', 400, 54008, id="array"),
        pytest.param(b"{", 400, 54008, id="not JSON"),
        pytest.param(b"[]", 400, 54008, id="not an object"),
        pytest.param(b'{"data":{"x":NaN}}', 400, 54008, id="NaN"),
        pytest.param(b'{"data":{"x":"\\ud800"}}', 400, 54008, id="lone surrogate"),
    ],
)
async def test_bad_data_is_refused(
    rig: Rig, body: bytes, status: int, code: int
) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())
        _, stream = await peer.request("POST", "/v3/Streams", {})
        path = f"/v3/Streams/{stream['sid']}/Messages"

        reply = await peer.ask(
            "message", body, http_request={"method": "POST", "path": path}
        )

        assert reply.header["http_status"]["code"] == status
        assert f'"code":{code},'.encode() in reply.payload
