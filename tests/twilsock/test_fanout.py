"""Deliveries of a process that has fallen behind to SDK connections."""

import json

from django.test import override_settings

from sync_streams.delivery.fanout import TimeSlices, deliver_messages
from sync_streams.delivery.outbox.frames import Writer
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.delivery.topic import Topic
from sync_streams.operations.data import Message
from sync_streams.twilsock import frames
from sync_streams.twilsock.encoder import ENCODERS
from sync_streams.values.sids import new_sid, new_stream_sid
from tests.clients.twilsock import message_sids
from tests.delivery.client import published

SID = new_stream_sid()


class Far:
    """The far end of one connection, on a server with the frame path."""

    def __init__(self, version: int = 4) -> None:
        self.writes: list[bytes] = []
        self.outbox = Outbox(
            new_sid("RQ"),
            ENCODERS[version],
            Writer(send=self._refuse, close=self._refuse, write=self.writes.append),
            on_stuck=lambda: None,
        )
        self.outbox.set_writable(True)

    async def _refuse(self, event: object) -> None:
        raise NotImplementedError


def topic_of(*fars: Far) -> Topic:
    topic = Topic(SID)
    for far in fars:
        topic.add(far.outbox)
    return topic


async def publish(topic: Topic, count: int) -> list[str]:
    """Deliver Messages together and return their SIDs."""
    messages = [Message.new(SID, {"n": number}) for number in range(count)]
    events = [published(message) for message in messages]
    await deliver_messages(topic, events, TimeSlices(is_pressed=lambda: False))
    return [message.sid for message in messages]


async def test_messages_that_waited_are_one_notification_for_all() -> None:
    one, two = Far(), Far()

    sids = await publish(topic_of(one, two), 10)

    assert one.writes[0] is two.writes[0]
    [wire] = one.writes
    assert message_sids(frames.decode(wire[4:])) == sids
    assert one.outbox.acknowledgements.asked == 10


async def test_version_3_gets_them_in_one_write_of_many_frames() -> None:
    old = Far(version=3)

    sids = await publish(topic_of(old), 10)

    [wire] = old.writes
    assert wire.count(b"TWILSOCK V3.0") == 10
    assert [sid for sid in sids if wire.count(sid.encode()) == 2] == sids
    assert [old.outbox.acknowledge(sid) for sid in sids] == [True] * 10


async def test_messages_that_find_no_room_wait_and_are_dropped_one_by_one() -> None:
    with override_settings(
        SYNC_STREAMS={"IN_FLIGHT_MAX_BYTES": 2_000, "OUTBOX_MAX_MESSAGES": 5}
    ):
        far = Far()
        topic = topic_of(far)
        [first] = await publish(topic, 1)
        far.outbox.set_writable(False)

        await publish(topic, 20)

    assert far.outbox.dropped == 15
    assert json.loads(frames.decode(far.writes[0][4:]).payload)["events"]
    assert far.outbox.acknowledge(first)
    far.outbox.discard()
