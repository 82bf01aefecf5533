"""Events of other releases and of unknown shapes: ignored, or reported as a gap."""

from typing import Any

import pytest

from sync_streams.delivery.cluster.broadcast import send_to_group
from sync_streams.delivery.counters import counters
from sync_streams.delivery.events import FORMAT, process_group, stream_group
from sync_streams.delivery.hub import Hub
from sync_streams.operations.data import Message
from tests.delivery.client import gap_of, published
from tests.delivery.hubs import publish, subscribed

POISON: list[dict[str, Any]] = [
    {"type": "message.published", "stream_sid": ["TO"], "message_sid": "TZ"},
    {"type": "message.published"},
    {"type": "stream.removed", "stream_sid": None},
    {"type": "stream.updated", "stream_sid": "TO", "format": FORMAT + 1},
    {"type": "stream.updated", "stream_sid": "TO", "format": "1"},
    {"type": 7},
    {},
]


@pytest.mark.parametrize("poison", POISON, ids=repr)
async def test_an_event_of_an_unknown_shape_is_counted_and_reported_as_a_gap(
    hub: Hub, poison: dict[str, Any]
) -> None:
    stream_sid, client = await subscribed(hub)
    before = counters.events_rejected

    await send_to_group(stream_group(stream_sid), poison)
    await publish(stream_sid, 1)
    await client.until(2)

    assert counters.events_rejected == before + 1
    assert not hub.is_unreachable
    assert client.frames[0] == gap_of(stream_sid)
    assert client.numbers == [1]


async def test_an_event_of_the_known_format_is_delivered(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    event = published(Message.new(stream_sid, {"n": 1}))
    await send_to_group(stream_group(stream_sid), {**event, "format": FORMAT})
    await client.until(1)

    assert client.numbers == [1]


async def test_kinds_of_events_of_a_later_release_are_ignored(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)
    before = counters.events_rejected

    await send_to_group(stream_group(stream_sid), {"type": "message.edited", "v": 9})
    await send_to_group(process_group(), {"type": "service.renamed", "name": 7})
    await publish(stream_sid, 1)
    await client.until(1)

    assert counters.events_rejected == before
    assert [frame["type"] for frame in client.frames] == ["message"]
