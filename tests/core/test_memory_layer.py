"""The in-memory channel layer: Channels' behaviour, at a constant cost."""

import asyncio
import time
from typing import Any

import pytest

from sync_streams.layers import MAX_AHEAD, InMemoryChannelLayer


class Groups(dict[str, dict[str, float]]):
    """Counts how often all groups are scanned."""

    looks = 0

    def values(self) -> Any:
        self.looks += 1
        return super().values()


async def joined(layer: InMemoryChannelLayer, *groups: str) -> str:
    channel: str = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def test_every_member_gets_a_message_of_its_own() -> None:
    layer = InMemoryChannelLayer()
    channels = [await joined(layer, "news") for _ in range(2)]
    event: dict[str, Any] = {"type": "test", "list": [1]}

    await layer.group_send("news", event)
    first, second = [await layer.receive(channel) for channel in channels]
    first["list"].append(2)

    assert second == event == {"type": "test", "list": [1]}


async def test_a_full_channel_does_not_affect_the_others() -> None:
    layer = InMemoryChannelLayer(capacity=2)
    full = await joined(layer, "news")
    for number in range(2):
        await layer.send(full, {"type": "test", "n": number})
    free = await joined(layer, "news")

    await layer.group_send("news", {"type": "test", "n": 2})

    assert (await layer.receive(free))["n"] == 2
    assert [(await layer.receive(full))["n"] for _ in range(2)] == [0, 1]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await layer.receive(full)


async def test_a_group_without_members_is_none() -> None:
    layer = InMemoryChannelLayer()
    channel = await joined(layer, "news")
    await layer.group_discard("news", channel)

    await layer.group_send("news", {"type": "test"})

    assert layer.channels == {}


async def test_members_that_joined_too_long_ago_are_forgotten() -> None:
    layer = InMemoryChannelLayer(group_expiry=-10)
    await joined(layer, "news")

    await layer.group_send("news", {"type": "test"})

    assert layer.channels == {}


@pytest.mark.parametrize("days", [2, -2])
async def test_messages_and_members_outlive_a_wall_clock_that_is_set(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = InMemoryChannelLayer()
    channel = await joined(layer, "news")
    await layer.send(channel, {"type": "test", "n": 1})

    wall_clock = time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + days * 86_400)
    await layer.group_send("news", {"type": "test", "n": 2})

    async with asyncio.timeout(30):
        assert [(await layer.receive(channel))["n"] for _ in range(2)] == [1, 2]


async def test_a_message_does_not_scan_all_groups() -> None:
    layer = InMemoryChannelLayer()
    layer.groups = Groups()
    channel = await joined(layer, *(f"group.{number}" for number in range(100)))

    for _ in range(100):
        await layer.group_send("group.1", {"type": "test"})
        await layer.receive(channel)

    # One a second, and the test may take two.
    assert layer.groups.looks <= 3


async def test_messages_sent_without_waiting_are_received() -> None:
    layer = InMemoryChannelLayer()
    one, two = await joined(layer, "news"), await joined(layer, "news")

    layer.group_send_now("news", {"type": "test"})
    layer.group_send_now("nobody", {"type": "test"})

    for channel in (one, two):
        assert await layer.receive(channel) == {"type": "test"}
    assert layer.channels == {}


@pytest.mark.parametrize(("capacity", "room"), [(100, MAX_AHEAD), (3, 3)])
async def test_sending_without_waiting_stops_when_receivers_are_full(
    capacity: int, room: int
) -> None:
    layer = InMemoryChannelLayer(capacity=capacity)
    channel = await joined(layer, "news")

    for _ in range(room):
        assert layer.can_start("news")
        layer.group_send_now("news", {"type": "test"})

    assert not layer.can_start("news")
    assert layer.can_start("nobody")
    await layer.receive(channel)
    assert layer.can_start("news")


async def test_names_are_checked() -> None:
    with pytest.raises(TypeError):
        await InMemoryChannelLayer().group_send("no spaces", {"type": "test"})


async def test_a_listener_gets_each_message_in_order_and_leaves_nothing() -> None:
    layer = InMemoryChannelLayer()
    channel = await joined(layer, "news")
    received: asyncio.Queue[int] = asyncio.Queue()
    await layer.group_send("news", {"type": "test", "n": 0})
    listener = asyncio.create_task(
        layer.listen(channel, lambda event: received.put_nowait(event["n"]))
    )

    layer.group_send_now("news", {"type": "test", "n": 1})
    await layer.group_send("news", {"type": "test", "n": 2})

    assert [await received.get() for _ in range(3)] == [0, 1, 2]
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener
    assert layer.channels == {}


async def test_a_listener_gets_any_number_of_messages_at_once() -> None:
    layer = InMemoryChannelLayer(capacity=3)
    channel, received = await joined(layer, "news"), list[int]()
    listener = asyncio.create_task(
        layer.listen(channel, lambda event: received.append(event["n"]))
    )
    await asyncio.sleep(0)

    for number in range(2 * MAX_AHEAD):
        assert layer.can_start("news")
        layer.group_send_now("news", {"type": "test", "n": number})
        assert received == list(range(number + 1))
    sent = {"type": "test", "n": -1}
    await layer.group_send("news", sent)

    assert received[-1] == -1
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener
    layer.group_send_now("news", sent)
    assert await layer.receive(channel) == sent
