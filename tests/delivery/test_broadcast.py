"""Broadcast: from any thread, through one event loop, within a bound."""

import asyncio
import time
from collections.abc import AsyncIterator
from threading import Thread

import pytest
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.test import override_settings

from sync_streams.delivery.cluster.broadcast import (
    _hand_over,
    abroadcast,
    broadcast,
    channel_layer,
)
from sync_streams.delivery.cluster.event_loop import run_on_loop, serve_on
from sync_streams.delivery.events import Event
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.operations.data import Message
from sync_streams.processes.background import BackgroundLoop
from sync_streams.values.sids import new_stream_sid
from tests.delivery.client import published
from tests.delivery.hubs import running_hub, stop, subscribed
from tests.waiting import until

LAYERS = "tests.core.layers"


def event(stream_sid: str, number: int = 0) -> Event:
    return published(Message.new(stream_sid, {"n": number}))


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with running_hub() as hub:
        yield hub


async def test_threads_broadcast_through_the_loop_that_serves(hub: Hub) -> None:
    stream_sid, client = await subscribed(hub)

    def run(first: int) -> None:
        for number in range(first, first + 20):
            broadcast(event(stream_sid, number))

    await asyncio.gather(*(asyncio.to_thread(run, 100 * n) for n in range(5)))
    await client.until(100)

    assert len(client.numbers) == 100
    for first in range(0, 500, 100):
        own = [number for number in client.numbers if first <= number < first + 100]
        assert own == list(range(first, first + 20))


def test_code_without_a_server_broadcasts_too() -> None:
    broadcast(event(new_stream_sid()))


def test_code_without_a_server_keeps_one_loop_for_all_threads() -> None:
    loops: set[int] = set()

    async def note() -> None:
        loops.add(id(asyncio.get_running_loop()))

    threads = [Thread(target=lambda: run_on_loop(note())) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loops) == 1


async def test_async_code_is_sent_to_the_async_twin() -> None:
    with pytest.raises(SynchronousOnlyOperation):
        broadcast(event(new_stream_sid()))


@pytest.mark.parametrize("layer", ["FailingLayer", "SilentLayer"])
async def test_a_layer_that_does_not_take_it_is_unavailable(layer: str) -> None:
    started = time.monotonic()
    with override_settings(
        CHANNEL_LAYERS={"default": {"BACKEND": f"{LAYERS}.{layer}"}},
        SYNC_STREAMS={"BROADCAST_TIMEOUT_SECONDS": 0.2},
    ):
        with pytest.raises(ServiceUnavailable):
            await abroadcast(event(new_stream_sid()))
        with pytest.raises(ServiceUnavailable):
            await asyncio.to_thread(broadcast, event(new_stream_sid()))

    assert time.monotonic() - started < 2


@override_settings(CHANNEL_LAYERS={})
def test_a_site_without_a_layer_gets_an_error() -> None:
    with pytest.raises(ImproperlyConfigured):
        channel_layer()


class Publisher:
    """A thread that broadcasts once, and how that ended."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> Exception | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.error

    def _run(self) -> None:
        try:
            broadcast(event(new_stream_sid()))
        except Exception as error:
            self.error = error


def test_a_server_that_stops_does_not_hold_up_a_thread() -> None:
    async def serve() -> Publisher:
        hub = get_hub()
        await hub.start()
        publisher = Publisher()
        await asyncio.sleep(0.1)
        await stop(hub)
        return publisher

    layers = {"default": {"BACKEND": f"{LAYERS}.DrowsyLayer"}}
    with override_settings(CHANNEL_LAYERS=layers):
        publisher = asyncio.run(serve())

    assert isinstance(publisher.end(), ServiceUnavailable)


async def test_a_server_that_hangs_does_not_hold_up_a_thread(hub: Hub) -> None:
    with override_settings(SYNC_STREAMS={"BROADCAST_TIMEOUT_SECONDS": 0.1}):
        publisher = Publisher()
        time.sleep(0.5)  # noqa: ASYNC251 (that is the hanging)

        assert isinstance(publisher.end(), ServiceUnavailable)


@pytest.fixture
async def serving() -> AsyncIterator[BackgroundLoop]:
    """A loop that serves, in another thread, over a layer that accepts nothing."""
    loop = BackgroundLoop("serves")
    layers = {"default": {"BACKEND": f"{LAYERS}.SilentLayer"}}
    with override_settings(CHANNEL_LAYERS=layers):
        serve_on(loop.loop)
        yield loop
        await asyncio.to_thread(loop.stop)


async def handed_over(serving: BackgroundLoop) -> asyncio.Task[None]:
    """Publish from this loop, and wait until the other one waits for the layer."""
    publishing = asyncio.create_task(abroadcast(event(new_stream_sid())))
    await until(lambda: asyncio.all_tasks(serving.loop))
    return publishing


async def test_a_server_that_stops_does_not_cancel_a_publisher_on_another_loop(
    serving: BackgroundLoop,
) -> None:
    publishing = await handed_over(serving)

    await asyncio.to_thread(serving.stop)

    with pytest.raises(ServiceUnavailable):
        await publishing
    with pytest.raises(ServiceUnavailable):  # it stopped after it was chosen
        await _hand_over(asyncio.sleep(0), serving.loop)


async def test_a_publisher_that_is_cancelled_cancels_what_it_handed_over(
    serving: BackgroundLoop,
) -> None:
    publishing = await handed_over(serving)

    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
    await until(lambda: not asyncio.all_tasks(serving.loop))
