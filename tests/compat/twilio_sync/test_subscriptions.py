"""Checklist C60 to C69: subscriptions, one by one and by the hundred."""

import asyncio

import pytest

from tests.compat.twilio_sync.rig import (
    Rig,
    all_versions_at_once,
    every_version,
    new_name,
)
from tests.compat.twilio_sync.wire import Recorded

SILENCE_SECONDS = 6
"""Longer than the time after which an SDK repeats what it had no answer to."""


def sids(batch: Recorded, key: str = "requests") -> list[str]:
    return [item["object_sid"] for item in batch.body[key]]


async def test_c60_reply_says_when_to_repeat_and_how_much_to_ask(rig: Rig) -> None:
    await (await rig.client()).stream(new_name())
    await rig.wire.subscribed()

    [reply] = rig.wire.replies("POST /v4/Subscriptions")

    assert reply.http_status == 200
    assert reply.body == {"estimated_delivery_in_ms": 5000, "max_batch_size": 100}


async def test_c61_event_repeats_the_number_of_its_request(rig: Rig) -> None:
    stream = await (await rig.client()).stream(new_name())
    await rig.wire.subscribed()

    [establish] = rig.wire.subscriptions("establish")
    [event] = rig.wire.events("subscription_established")
    assert isinstance(event.body["correlation_id"], int)
    assert event.body == {
        "event_type": "subscription_established",
        "event_protocol_version": 4,
        "correlation_id": establish.body["correlation_id"],
        "events": [
            {
                "object_sid": stream.sid,
                "object_type": "stream",
                "replay_status": "completed",
                "last_event_id": -1,
            }
        ],
    }


@every_version
async def test_c62_established_subscription_is_not_asked_for_again(rig: Rig) -> None:
    client = await rig.client()
    stream = await client.stream(new_name())
    await rig.wire.subscribed()
    await stream.message(await rig.publish(stream.sid, {}))  # so the SDK knows it, too

    assert await rig.sdk.jump(SILENCE_SECONDS) > 0

    # What the SDK asked again would be in front of another Stream, or with it.
    await client.stream(new_name())
    await rig.wire.subscribed(2)
    asked = rig.wire.subscriptions("establish")
    assert [len(sids(batch)) for batch in asked] == [1, 1]


async def test_c63_each_of_120_streams_gets_its_own_messages(rig: Rig) -> None:
    client = await rig.client()
    streams = await asyncio.gather(*(client.stream(new_name()) for _ in range(120)))
    await rig.wire.subscribed(120)

    published = [
        await rig.publish(stream.sid, {"to": stream.sid}) for stream in streams
    ]
    for stream, sid in zip(streams, published, strict=True):
        await stream.message(sid)

    for stream in streams:
        assert [message["data"] for message in stream.messages] == [{"to": stream.sid}]
    assert max(map(len, map(sids, rig.wire.subscriptions("establish")))) <= 100


async def test_c64_closed_stream_is_cancelled_and_sends_no_more(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    await mine.close()
    await rig.wire.wait_until(lambda: rig.wire.events("subscription_canceled"))
    published = len(rig.wire.events("stream_message_published"))
    sid = await rig.publish(theirs.sid, {})
    await theirs.message(sid)

    [cancel] = rig.wire.subscriptions("cancel")
    assert (await rig.wire.replied(cancel)).http_status == 200
    assert len(rig.wire.events("stream_message_published")) - published == 1


async def test_c65_second_handle_survives_the_first(rig: Rig) -> None:
    name, client = new_name(), await rig.client()
    first, second = await client.stream(name), await client.stream(name)
    await rig.wire.subscribed()

    await first.close()
    sid = await rig.publish(name, {})

    await second.message(sid)
    assert rig.wire.subscriptions("cancel") == []


@pytest.mark.parametrize("gap_ms", [0, 30, 130, 250])
async def test_c66_stream_closed_and_opened_again_delivers(
    rig: Rig, gap_ms: int
) -> None:
    name, client = new_name(), await rig.client()
    old = await client.stream(name)
    await rig.wire.subscribed()

    await old.close()
    await asyncio.sleep(gap_ms / 1000)
    new = await client.stream(name)
    # The SDK may or may not have asked again; the subscription of a second Stream,
    # opened later, shows that it is done with this one.
    other = await client.stream(new_name())
    await rig.wire.wait_until(
        lambda: any(
            other.sid in sids(event, "events")
            for event in rig.wire.events("subscription_established")
        )
    )

    sid = await rig.publish(name, {"x": 1})

    await new.message(sid)
    assert len(new.messages) == 1


async def away(rig: Rig) -> None:
    """Break the connections and prevent reconnecting."""
    rig.wire.is_open = False
    rig.wire.cut()


@all_versions_at_once
async def test_c67_stream_removed_while_disconnected_is_reported_once(rig: Rig) -> None:
    stream = await (await rig.client()).stream(new_name())
    await rig.wire.subscribed()

    await away(rig)
    await rig.rest("DELETE", f"/{stream.sid}")
    rig.wire.is_open = True

    assert await stream.wait("removed") == [{"isLocal": False}]
    [failed] = rig.wire.events("subscription_failed")
    [event] = failed.body.get("events") or [failed.body["event"]]
    assert (event["error"]["status"], event["error"]["code"]) == (404, 54250)


@all_versions_at_once
async def test_c68_live_stream_survives_a_dead_one_in_its_batch(rig: Rig) -> None:
    client = await rig.client()
    dead, live = await client.stream(new_name()), await client.stream(new_name())
    await rig.wire.subscribed(2)

    await away(rig)
    await rig.rest("DELETE", f"/{dead.sid}")
    rig.wire.is_open = True
    await dead.wait("removed")
    await rig.wire.subscribed(3)

    await live.message(await rig.publish(live.sid, {}))
    assert live.emitted("removed") == []


@pytest.mark.parametrize("package", ["twilio-sync-3.0"])
async def test_c69_version_3_of_the_events_is_spoken_to_old_sdks(rig: Rig) -> None:
    mine, theirs = await rig.pair()

    await theirs.message(await mine.publish({"x": 1}))
    await mine.remove()
    await theirs.wait("removed")

    notified = rig.wire.received("notification")
    assert {recorded.body["event_protocol_version"] for recorded in notified} == {3}
    assert all("event" in recorded.body for recorded in notified)
