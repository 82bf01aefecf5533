"""Checklist C50 to C57: TTLs and removal."""

import pytest

from tests.compat.twilio_sync.rig import (
    Rig,
    all_versions_at_once,
    every_version,
    new_name,
)
from tests.compat.twilio_sync.sdk import SdkError


@every_version
async def test_c50_ttl_is_set_and_taken_back(rig: Rig) -> None:
    stream = await (await rig.client()).stream(new_name())

    assert (await stream.set_ttl(600)).date_expires is not None
    assert (await stream.set_ttl(0)).date_expires is None


async def test_c51_ttl_out_of_range_is_refused(rig: Rig) -> None:
    stream = await (await rig.client()).stream(new_name())

    with pytest.raises(SdkError) as refused:
        await stream.set_ttl(31_536_001)

    assert (refused.value.status, refused.value.code) == (400, 54011)


async def test_c51_ttl_of_a_removed_stream_is_not_found(rig: Rig) -> None:
    mine, theirs = await rig.pair()
    await theirs.remove()
    await mine.wait("removed")

    with pytest.raises(SdkError) as refused:
        await mine.set_ttl(60)

    assert (refused.value.status, refused.value.code) == (404, 54250)


@every_version
async def test_c52_remover_and_others_are_each_notified_once(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    await mine.remove()
    await theirs.wait("removed")
    await rig.wire.wait_until(lambda: len(rig.wire.subscriptions("cancel")) == 2)

    assert mine.emitted("removed") == [{"isLocal": True}]
    assert theirs.emitted("removed") == [{"isLocal": False}]


@every_version
async def test_c53_removal_over_rest_is_remote_for_every_client(rig: Rig) -> None:
    streams = await rig.pair()

    await rig.rest("DELETE", f"/{streams[0].sid}")

    for stream in streams:
        await stream.wait("removed")
        assert stream.emitted("removed") == [{"isLocal": False}]


async def test_c54_removal_is_followed_by_one_cancel_that_succeeds(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    await mine.remove()
    await rig.wire.wait_until(lambda: len(rig.wire.subscriptions("cancel")) == 2)

    for cancel in rig.wire.subscriptions("cancel"):
        assert (await rig.wire.replied(cancel)).http_status == 200
        assert [item["object_sid"] for item in cancel.body["requests"]] == [theirs.sid]


async def test_c55_name_of_a_removed_stream_is_free_at_once(rig: Rig) -> None:
    client, name = await rig.client(), new_name()
    old = await client.stream(name)

    await old.remove()
    new = await client.stream(name)

    assert new.sid != old.sid


@all_versions_at_once
async def test_c56_stream_is_removed_when_its_time_is_over(rig: Rig) -> None:
    stream, other = await rig.pair()

    await stream.set_ttl(1)

    for one in (stream, other):
        assert await one.wait("removed") == [{"isLocal": False}]
    assert (await rig.rest("GET", f"/{stream.sid}"))[0] == 404


@every_version
async def test_c90_each_request_has_one_reply_and_each_frame_its_shape(
    rig: Rig,
) -> None:
    mine, theirs = await rig.pair()
    await theirs.message(await mine.publish({"x": 1}))
    await mine.set_ttl(60)
    await mine.remove()
    await theirs.wait("removed")
    with pytest.raises(SdkError):
        await theirs.publish({})

    for request in [*rig.wire.sent("init"), *rig.wire.sent("message")]:
        await rig.wire.replied(request)

    rig.wire.audit()
    notified = {frame.frame.id for frame in rig.wire.received("notification")}
    await rig.wire.wait_until(
        lambda: {ack.frame.id for ack in rig.wire.sent("reply")} == notified
    )


async def test_c57_removal_of_a_removed_stream_is_not_found(rig: Rig) -> None:
    mine, theirs = await rig.pair()
    await theirs.remove()

    with pytest.raises(SdkError) as refused:
        await mine.remove()

    assert (refused.value.status, refused.value.code) == (404, 54250)
