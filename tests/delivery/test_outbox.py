"""Outbox: bounded in frames, bytes and time; FIFO; reports what it dropped."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from sync_streams.connections.frames import WebSocketFrame
from sync_streams.delivery.counters import counters
from sync_streams.delivery.outbox.outbox import LAST_FRAMES_SECONDS
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket import protocol
from tests.clock import Clock
from tests.delivery.client import Client, numbered

STREAM_SID, OTHER_SID = new_stream_sid(), new_stream_sid()
WAYS = pytest.mark.parametrize("frame_path", [False, True], ids=["asgi", "frames"])


@contextmanager
def limits(**values: Any) -> Iterator[None]:
    with override_settings(
        SYNC_STREAMS={name.upper(): value for name, value in values.items()}
    ):
        yield


def publish(
    client: Client, *numbers: int, sid: str = STREAM_SID, size: int = 0
) -> None:
    for number in numbers:
        client.outbox.put(numbered(sid, number, size))


def gap(dropped: int, sid: str = STREAM_SID) -> dict[str, Any]:
    return {"type": "gap", "stream_sid": sid, "dropped": dropped}


async def settle() -> None:
    """Let everything happen that needs no waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


@WAYS
async def test_frames_arrive_in_order(frame_path: bool) -> None:
    client = Client(frame_path=frame_path)

    for number in range(1_000):
        publish(client, number)
        if number % 100 == 0:
            await settle()
    await client.until(1_000)

    assert client.numbers == list(range(1_000))


@WAYS
async def test_frames_stay_in_order_when_the_client_stops_and_goes(
    frame_path: bool,
) -> None:
    with limits(outbox_max_messages=10_000):
        client = Client(frame_path=frame_path)

    for number in range(2_000):
        publish(client, number)
        if number % 7 == 0:
            client.reading.clear()
        if number % 13 == 0:
            client.reading.set()
            await asyncio.sleep(0)
    client.reading.set()
    await client.until(2_000)

    assert client.numbers == list(range(2_000))


async def test_the_oldest_messages_go_first() -> None:
    with limits(outbox_max_messages=10):
        client = Client(reads=False)

    publish(client, *range(100))
    client.reading.set()
    await client.until(11)

    assert client.frames[0] == gap(90)
    assert client.numbers == list(range(90, 100))
    assert client.outbox.dropped == 90


async def test_messages_wait_up_to_the_exact_limit() -> None:
    with limits(outbox_max_messages=10):
        client = Client(reads=False)

    publish(client, *range(10))
    assert client.outbox.dropped == 0
    publish(client, 10)
    assert client.outbox.dropped == 1


async def test_bytes_wait_up_to_the_exact_limit() -> None:
    size = numbered(STREAM_SID, 0).size
    with limits(outbox_max_bytes=3 * size):
        client = Client(reads=False)

    publish(client, 0, 1, 2)
    assert client.outbox.dropped == 0
    publish(client, 3)
    assert client.outbox.dropped == 1


async def test_a_message_larger_than_the_outbox_is_dropped() -> None:
    with limits(outbox_max_bytes=100):
        client = Client(reads=False)

    publish(client, 0, size=1_000)
    client.reading.set()
    await settle()

    assert client.frames == []
    assert client.outbox.dropped == 1
    assert client.stuck == 0


async def test_dropped_messages_are_counted_by_stream() -> None:
    with limits(outbox_max_messages=4):
        client = Client(reads=False)

    publish(client, 0, 1, 2)
    publish(client, 0, 1, sid=OTHER_SID)
    publish(client, 3, 4, 5)
    publish(client, 2, sid=OTHER_SID)
    client.reading.set()
    await client.until(6)

    gaps = [frame for frame in client.frames if frame["type"] == "gap"]
    assert gaps == [gap(3), gap(2, OTHER_SID)]
    assert client.numbers == [3, 4, 5, 2]


async def test_a_gap_comes_right_before_the_next_message_of_its_stream() -> None:
    with limits(outbox_max_messages=2):
        client = Client(reads=False)

    publish(client, 0)
    publish(client, 0, 1, sid=OTHER_SID)
    client.reading.set()
    await client.until(2)
    publish(client, 1)
    await client.until(4)

    kinds = [(frame["type"], frame["stream_sid"]) for frame in client.frames]
    assert kinds == [
        ("message", OTHER_SID),
        ("message", OTHER_SID),
        ("gap", STREAM_SID),
        ("message", STREAM_SID),
    ]


async def test_a_gap_is_reported_on_the_frame_path_too() -> None:
    with limits(outbox_max_messages=2):
        client = Client(reads=False, frame_path=True)

    publish(client, 0)
    publish(client, 0, 1, sid=OTHER_SID)
    client.reading.set()
    await client.until(2)
    await settle()
    publish(client, 1)
    await client.until(4)

    assert client.frames[2] == gap(1)
    assert client.numbers[-1] == 1


async def test_a_gap_is_reported_once() -> None:
    with limits(outbox_max_messages=1):
        client = Client(reads=False)

    publish(client, 0, 1)
    client.reading.set()
    await client.until(2)
    publish(client, 2)
    await client.until(3)

    assert [frame["type"] for frame in client.frames] == ["gap", "message", "message"]


async def test_numbers_and_gaps_add_up() -> None:
    with limits(outbox_max_messages=5):
        client = Client(reads=False)

    for number in range(500):
        publish(client, number)
        if number % 17 == 0:
            client.reading.set()
            await settle()
            client.reading.clear()
    client.reading.set()
    await settle()

    expected = 0
    for frame in client.frames:
        if frame["type"] == "gap":
            expected += frame["dropped"]
        else:
            assert frame["message"]["data"]["n"] == expected
            expected += 1
    assert expected == 500


async def test_replies_are_never_dropped() -> None:
    with limits(outbox_max_messages=3):
        client = Client(reads=False)

    for number in range(100):
        client.outbox.put(protocol.reply("pong", number))
        publish(client, number)
    client.reading.set()
    await client.until(100)
    await settle()

    pongs = [frame["id"] for frame in client.frames if frame["type"] == "pong"]
    assert pongs == list(range(100))


async def test_a_client_that_asks_and_never_reads_is_closed_once() -> None:
    before = counters.closed_as_stuck
    with limits(outbox_max_bytes=1_000):
        client = Client(reads=False)

    for number in range(1_000):
        client.outbox.put(protocol.reply("pong", number))

    assert client.stuck == 1
    assert counters.closed_as_stuck == before + 1


async def test_the_backlog_of_a_client_that_never_reads_is_bounded() -> None:
    with limits(outbox_max_bytes=10_000):
        client = Client(reads=False)

    for number in range(5_000):
        client.outbox.put(WebSocketFrame('{"type":"pong"}'))
        publish(client, number, size=100)

    backlog = client.outbox._backlog
    waiting = backlog._frames
    assert sum(frame.size for frame in waiting) <= 10_000 + 15
    assert backlog._bytes == sum(frame.size for frame in waiting)


async def test_frames_count_as_waiting_until_they_are_sent_or_dropped() -> None:
    before = counters.waiting
    with limits(outbox_max_messages=10, in_flight_max_bytes=1_000):
        stalled, reading = Client(reads=False), Client()

    publish(stalled, *range(100), size=100)
    publish(reading, *range(10))
    assert counters.waiting == before + stalled.outbox.waiting + reading.outbox.waiting
    assert stalled.outbox.waiting == 10
    await reading.until(10)
    assert counters.waiting == before + 10

    stalled.outbox.discard()
    assert counters.waiting == before


@WAYS
async def test_bytes_in_flight_are_bounded(frame_path: bool) -> None:
    with limits(in_flight_max_bytes=10_000, outbox_max_messages=100):
        client = Client(pongs=False, frame_path=frame_path)

    publish(client, *range(1_000), size=100)
    await settle()
    arrived = len(client.frames)
    size = numbered(STREAM_SID, 100, 100).size

    assert 10_000 - 50 <= arrived * size <= 10_000 + size
    assert client.pings == 1


@WAYS
async def test_a_pong_reopens_the_flow_control_window(frame_path: bool) -> None:
    with limits(in_flight_max_bytes=10_000, outbox_max_messages=5):
        client = Client(pongs=False, frame_path=frame_path)
    for number in range(100):
        publish(client, number, size=100)
        await settle()
    arrived = len(client.frames)

    client.pong()
    await settle()

    assert client.frames[arrived] == gap(100 - arrived - 5)
    assert client.numbers == [*range(arrived), *range(95, 100)]


@WAYS
async def test_a_client_that_reads_and_pongs_loses_nothing(frame_path: bool) -> None:
    with limits(in_flight_max_bytes=10_000, outbox_max_messages=50):
        client = Client(frame_path=frame_path)

    for number in range(5_000):
        publish(client, number, size=100)
        if number % 10 == 0:
            await settle()
    await client.until(5_000)

    assert client.numbers == list(range(5_000))
    assert client.stuck == 0
    assert client.pings > 10


@WAYS
@pytest.mark.parametrize("room", [1, 99, 100, 101, 150])
async def test_a_message_larger_than_flow_control_allows_is_sent(
    frame_path: bool, room: int
) -> None:
    size = numbered(STREAM_SID, 0, 100).size
    with limits(in_flight_max_bytes=room * size // 100):
        client = Client(frame_path=frame_path)

    publish(client, *range(20), size=100)
    await client.until(20)

    assert client.numbers == list(range(20))


async def test_an_unsolicited_pong_does_not_open_the_flow_control_window() -> None:
    with limits(in_flight_max_bytes=10_000):
        client = Client(pongs=False)
    for _ in range(100):
        client.pong()

    publish(client, *range(200), size=100)
    await settle()

    assert client.pings == 1
    assert len(client.frames) < 100


@WAYS
async def test_a_client_that_reads_nothing_is_closed_at_the_deadline(
    frame_path: bool, clock: Clock
) -> None:
    with limits(stuck_timeout_seconds=30):
        client = Client(reads=False, frame_path=frame_path)

    publish(client, 0)
    await clock.advance(29.9)
    assert client.stuck == 0
    # The first look finds that something was sent since the watch began.
    await clock.advance(0.2)
    await clock.advance(30)

    assert client.stuck == 1


async def test_a_client_that_never_pongs_is_closed_at_the_deadline(
    clock: Clock,
) -> None:
    with limits(stuck_timeout_seconds=30):
        client = Client(pongs=False)

    client.outbox.ping()
    await clock.advance(29.9)
    assert client.stuck == 0
    # The first look finds that something was sent since the watch began.
    await clock.advance(0.2)
    await clock.advance(30)

    assert client.pings == 1
    assert client.stuck == 1


async def test_a_client_that_pongs_in_time_stays(clock: Clock) -> None:
    with limits(stuck_timeout_seconds=30, in_flight_max_bytes=4_000):
        client = Client()

    for number in range(60):
        publish(client, number, size=500)
        await clock.advance(3)

    assert client.stuck == 0
    assert client.numbers == list(range(60))


async def test_a_client_that_is_pinged_right_before_the_deadline_stays(
    clock: Clock,
) -> None:
    with limits(stuck_timeout_seconds=30):
        client = Client()
    client.outbox.ping()
    await clock.advance(31)
    client.pongs = False
    publish(client, 0)
    await clock.advance(29)

    client.outbox.ping()
    await clock.advance(29)
    client.pong()
    await settle()

    assert client.pings == 2
    assert client.stuck == 0


async def test_an_idle_outbox_holds_no_task_and_no_timer_that_acts(
    clock: Clock,
) -> None:
    with limits(stuck_timeout_seconds=30):
        client = Client()
    publish(client, 0)
    await clock.advance(31)

    assert client.outbox._sender is None
    assert client.outbox._timer is None
    assert client.stuck == 0


async def test_only_one_ping_is_in_flight() -> None:
    client = Client(pongs=False)

    for _ in range(10):
        client.outbox.ping()
    await settle()

    assert client.pings == 1


async def test_a_closing_outbox_sends_its_last_frames_and_accepts_nothing_more() -> (
    None
):
    client = Client()
    publish(client, 0, 1)

    await client.outbox.close(protocol.reply("closing"), code=4000)
    publish(client, 2)
    await settle()

    assert [frame["type"] for frame in client.frames] == ["message"] * 2 + ["closing"]
    assert client.events[-1] == {"type": "websocket.close", "code": 4000}


async def test_a_stalled_client_cannot_hold_up_the_close(clock: Clock) -> None:
    client = Client(reads=False)
    publish(client, *range(100))

    closing = asyncio.create_task(
        client.outbox.close(protocol.reply("closing"), code=4000)
    )
    await settle()
    await clock.advance(0.9 * LAST_FRAMES_SECONDS)
    assert not closing.done()
    await clock.advance(0.2 * LAST_FRAMES_SECONDS)

    assert closing.done()
    assert client.events == []


async def test_last_frames_are_sent_although_nothing_more_fits_in_flight() -> None:
    with limits(in_flight_max_bytes=1_000):
        client = Client(pongs=False)
    publish(client, *range(100), size=100)
    await settle()

    await client.outbox.close(protocol.reply("closing"), code=4000)

    assert client.frames[-1] == {"type": "closing"}
    assert client.events[-1] == {"type": "websocket.close", "code": 4000}


async def test_nothing_follows_the_last_frames() -> None:
    client = Client(reads=False)
    publish(client, 0)
    closing = asyncio.ensure_future(client.outbox.close(protocol.reply("closing")))
    await settle()

    publish(client, 1)
    client.reading.set()
    await closing

    assert [frame["type"] for frame in client.frames] == ["message", "closing"]


async def test_a_client_that_is_gone_costs_nothing_more() -> None:
    client = Client()
    client.is_gone = True

    for number in range(10):
        publish(client, number)
        await settle()

    assert client.frames == []
    assert not client.outbox._backlog
    assert client.outbox._sender is None
