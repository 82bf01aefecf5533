"""The Twilsock encoder: which waiting Messages share a notification."""

import json
from collections.abc import Iterator

import pytest

from sync_streams.delivery.outbox.frames import Frame
from sync_streams.operations.data import Message
from sync_streams.twilsock import frames
from sync_streams.twilsock.encoder import ENCODERS, MERGED_MAX_BYTES, TwilsockEncoder
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import published

SIDS = new_stream_sid(), new_stream_sid()


@pytest.fixture
def encoder() -> TwilsockEncoder:
    return TwilsockEncoder(4)


def messages(
    encoder: TwilsockEncoder, count: int, size: int = 0
) -> Iterator[tuple[Message, Frame]]:
    """Yield Messages of two Streams, alternating, and their frames."""
    for number in range(count):
        message = Message.new(SIDS[number % 2], {"n": number, "pad": "x" * size})
        yield message, encoder.message_published(published(message))


def body(frame: Frame) -> bytes:
    data: bytes = frame.event["bytes"]
    return data


def test_messages_of_several_streams_share_a_notification(
    encoder: TwilsockEncoder,
) -> None:
    expected, waiting = zip(*messages(encoder, 3), strict=True)

    merged = encoder.merge(waiting)

    frame = frames.decode(body(merged))
    assert (merged.messages, merged.stream_sid) == (3, None)
    assert merged.ack_id == frame.id
    assert frame.id not in {other.ack_id for other in waiting}
    assert json.loads(frame.payload) == {
        "event_type": "stream_message_published",
        "event_protocol_version": 4,
        "events": [
            {
                "stream_sid": message.stream_sid,
                "message_sid": message.sid,
                "message_data": json.loads(message.text),
            }
            for message in expected
        ],
    }


def test_a_message_that_waits_alone_is_not_written_again(
    encoder: TwilsockEncoder,
) -> None:
    [(_, alone)] = messages(encoder, 1)

    assert encoder.merge([alone]) is alone
    assert encoder.merge([alone, encoder.ping()]) is alone


def test_another_frame_ends_the_notification(encoder: TwilsockEncoder) -> None:
    waiting = [frame for _, frame in messages(encoder, 4)]

    merged = encoder.merge([*waiting[:2], encoder.ping(), *waiting[2:]])

    assert merged.messages == 2


def test_a_notification_stays_below_its_size(encoder: TwilsockEncoder) -> None:
    waiting = [frame for _, frame in messages(encoder, 1_000, size=50)]
    bounds = []

    while waiting:
        merged = encoder.merge(waiting)
        bounds.append(sum(frame.size for frame in waiting[: merged.messages]))
        assert merged.size <= MERGED_MAX_BYTES
        del waiting[: merged.messages]

    assert min(bounds[:-1]) > MERGED_MAX_BYTES - 500


def test_exactly_as_much_is_merged_as_fits(encoder: TwilsockEncoder) -> None:
    waiting = [frame for _, frame in messages(encoder, 3, size=3_800)]
    [(_, empty)] = messages(encoder, 1)
    room = MERGED_MAX_BYTES - sum(frame.size for frame in waiting) - empty.size
    # The sizes in a frame's own header have another digit from 1,000 bytes on.
    [(_, probe)] = messages(encoder, 1, size=room)
    excess = probe.size - empty.size - room
    [(_, fits)] = messages(encoder, 1, size=room - excess)
    [(_, exceeds)] = messages(encoder, 1, size=room - excess + 1)

    assert sum(frame.size for frame in [*waiting, fits]) == MERGED_MAX_BYTES
    assert encoder.merge([*waiting, fits]).messages == 4
    assert encoder.merge([*waiting, exceeds]).messages == 3


def test_connections_that_wait_for_the_same_messages_share_a_frame(
    encoder: TwilsockEncoder,
) -> None:
    waiting = [frame for _, frame in messages(encoder, 5)]

    first, second = encoder.merge(waiting), encoder.merge(list(waiting))

    assert first is second
    assert encoder.merge(waiting[:4]) is not first


def test_version_3_has_no_room_for_several_messages() -> None:
    waiting = [frame for _, frame in messages(ENCODERS[3], 3)]

    assert ENCODERS[3].merge(waiting) is waiting[0]
