"""Backpressure: publishers wait for their own process, and not for ever."""

import asyncio
from collections.abc import Iterator

import pytest

from sync_streams.delivery.cluster.backpressure import backpressure
from sync_streams.delivery.hub import Hub
from sync_streams.delivery.queue import MAX_TAKEN
from sync_streams.errors import ServiceUnavailable
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import Client
from tests.delivery.hubs import (
    MEMORY_LAYERS,
    hub_over,
    publish,
    subscribed,
    until_introduced,
)
from tests.overrides import sync_settings
from tests.waiting import until


@pytest.fixture(autouse=True)
def _no_probe() -> Iterator[None]:
    """Send no probe meanwhile: the hub would take it, and then it is not behind."""
    with sync_settings(probe_seconds=600):
        yield


async def test_publishers_do_not_outpace_their_own_process() -> None:
    layer = {
        "BACKEND": MEMORY_LAYERS["memory"],
        "CONFIG": {"capacity": MAX_TAKEN},
    }
    async with hub_over(layer) as hub:
        sids = [new_stream_sid() for _ in range(20)]
        client = Client(frame_path=True)
        for sid in sids:
            await hub.subscriptions.subscribe(client.outbox, sid, None)

        async def publish_many(sid: str) -> None:
            for number in range(100):
                await publish(sid, number)

        await asyncio.gather(*map(publish_many, sids))
        await client.until(2000)

    of = {sid: [f for f in client.frames if f["stream_sid"] == sid] for sid in sids}
    for frames in of.values():
        assert [f["message"]["data"]["n"] for f in frames] == list(range(100))


async def test_a_process_that_stays_behind_refuses_messages(hub: Hub) -> None:
    await until_introduced(hub)
    stream_sid, client = await subscribed(hub)

    backpressure().fall_behind()
    brief = sync_settings(broadcast_timeout_seconds=0.05)
    with brief, pytest.raises(ServiceUnavailable):
        await publish(stream_sid, 1)
    backpressure().catch_up()
    await publish(stream_sid, 2)
    await until(lambda: client.numbers)

    assert client.numbers == [2]


async def waiting_publishers(sid: str, count: int) -> "list[asyncio.Task[None]]":
    """Let publishers use a process that is behind."""
    backpressure().fall_behind()
    tasks = [asyncio.create_task(publish(sid, number)) for number in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_publishers_that_waited_are_not_too_many_again() -> None:
    layer = {"BACKEND": MEMORY_LAYERS["memory"], "CONFIG": {"capacity": 50}}
    async with hub_over(layer) as hub:
        stream_sid, client = await subscribed(hub, frame_path=True)

        tasks = await waiting_publishers(stream_sid, 400)
        backpressure().catch_up()
        await asyncio.gather(*tasks)
        await client.until(400)

    assert client.numbers == list(range(400))


async def test_waiting_publishers_are_refused_by_an_unreachable_process(
    hub: Hub,
) -> None:
    await until_introduced(hub)
    stream_sid, _client = await subscribed(hub)
    await until_introduced(hub)  # an event that arrives now would release them

    tasks = await waiting_publishers(stream_sid, 2)
    backpressure().unreachable |= set(range(len(hub.membership.probes)))
    backpressure().catch_up()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    backpressure().unreachable.clear()

    assert [type(answer) for answer in answers] == [ServiceUnavailable] * 2


async def test_a_stream_without_subscribers_here_does_not_wait(hub: Hub) -> None:
    await until_introduced(hub)
    backpressure().fall_behind()

    await publish(new_stream_sid(), 1)
    backpressure().catch_up()
