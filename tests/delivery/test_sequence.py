"""Numbers of Messages reveal silent losses, but not delays."""

import asyncio
from contextlib import ExitStack, suppress

import pytest

from sync_streams.delivery import sequence
from sync_streams.delivery.sequence import Arrivals, Numbers, Sequence
from sync_streams.delivery.topic import Topic
from sync_streams.layers import InMemoryChannelLayer
from tests.delivery.client import Client, gap_of
from tests.delivery.hubs import MEMORY_LAYERS, hub_over, publish, subscribed

SID = "TO1"
CAPACITY = 10


def send(numbers: Numbers, sid: str = SID) -> Sequence:
    with numbers.sending(sid) as place:
        return place


def is_complete(arrivals: Arrivals, place: object) -> bool:
    return arrivals.are_complete({"sequence": place})


async def test_messages_dropped_by_a_full_layer_are_a_gap_before_the_next() -> None:
    layer = {"BACKEND": MEMORY_LAYERS["channels"], "CONFIG": {"capacity": CAPACITY}}
    async with hub_over(layer) as hub:
        sid, client = await subscribed(hub)
        await publish(sid, 0)
        await client.until(1)
        await asyncio.gather(*(publish(sid, n) for n in range(1, 2 * CAPACITY + 1)))
        await client.until(1 + CAPACITY)
        await publish(sid, -1)
        await client.until(3 + CAPACITY)

    assert client.numbers == [*range(CAPACITY + 1), -1]
    assert client.frames[-2] == gap_of(sid)
    assert client.frames.count(gap_of(sid)) == 1


def test_a_hole_is_noticed_with_the_next_message_and_once() -> None:
    numbers, arrivals = Numbers(), Arrivals()
    first, _, third, fourth = [send(numbers) for _ in range(4)]

    assert is_complete(arrivals, first)
    assert not is_complete(arrivals, third)
    assert is_complete(arrivals, fourth)


def test_messages_that_overtake_one_another_are_not_missing() -> None:
    numbers, arrivals = Numbers(), Arrivals()
    with ExitStack() as sending:
        places = [sending.enter_context(numbers.sending(SID)) for _ in range(5)]
    later = send(numbers)

    order = [places[n] for n in (0, 3, 1, 4, 2)]
    assert all(is_complete(arrivals, place) for place in [*order, later])


def test_one_that_was_lost_among_those_that_overtook_it_is_missing() -> None:
    numbers, arrivals = Numbers(), Arrivals()
    with ExitStack() as sending:
        places = [sending.enter_context(numbers.sending(SID)) for _ in range(5)]
    later = send(numbers)

    assert all(is_complete(arrivals, places[n]) for n in (0, 3, 1, 4))
    assert not is_complete(arrivals, later)


def test_messages_that_could_not_be_sent_are_not_missing() -> None:
    numbers, arrivals = Numbers(), Arrivals()
    first = send(numbers)
    with suppress(OSError), numbers.sending(SID):
        raise OSError

    assert is_complete(arrivals, first)
    assert is_complete(arrivals, send(numbers))


def test_messages_published_before_the_first_one_arrived_are_not_missing() -> None:
    numbers, arrivals = Numbers(), Arrivals()
    early, first, second = [send(numbers) for _ in range(3)]

    assert is_complete(arrivals, first)
    assert is_complete(arrivals, early)
    assert is_complete(arrivals, second)


def test_streams_and_publishers_have_numbers_of_their_own() -> None:
    one, other, arrivals = Numbers(), Numbers(), Arrivals()
    assert is_complete(arrivals, send(one))
    for _ in range(3):
        send(one, "TO2")
        assert is_complete(arrivals, send(other))

    assert is_complete(arrivals, send(one))


@pytest.mark.parametrize("was_left", [False, True])
async def test_messages_published_while_a_group_was_left_are_not_missing(
    was_left: bool,
) -> None:
    topic, layer, numbers = Topic(SID), InMemoryChannelLayer(), Numbers()
    channel, outbox = await layer.new_channel(), Client().outbox
    topic.add(outbox)
    await topic.join(layer, channel)
    assert is_complete(topic.arrivals, send(numbers))

    if was_left:
        topic.discard(outbox)
        await topic.leave(layer, channel)
        topic.add(outbox)
    send(numbers)
    await topic.join(layer, channel, again=not was_left)

    assert is_complete(topic.arrivals, send(numbers)) is was_left


@pytest.mark.parametrize("place", [None, 7, [], ["a"], ["a", "b", "c"], ["a", 1, 2, 3]])
def test_an_invalid_number_is_not_a_gap(place: object) -> None:
    assert is_complete(Arrivals(), place)


def test_remembered_numbers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_STREAMS", "MAX_SOURCES", "MAX_EARLY"):
        monkeypatch.setattr(sequence, name, 2)
    numbers, arrivals = Numbers(), Arrivals()
    for number in range(9):
        send(numbers, f"TO{number}")
        is_complete(arrivals, [f"source {number}", 1, 0])
        is_complete(arrivals, ["source 8", 2 + number, 0])

    assert list(numbers._streams) == ["TO7", "TO8"]
    assert set(arrivals._sources) == {"source 7", "source 8"}
    assert len(arrivals._sources["source 8"].numbers) <= 2
