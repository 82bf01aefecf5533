"""Values that belong to an event loop, and loops in their own threads."""

import asyncio
from concurrent.futures import CancelledError
from typing import TypeVar

import pytest

from sync_streams.processes.background import BackgroundLoop, run_on
from sync_streams.processes.per_loop import PerLoop

T = TypeVar("T")


async def get(values: PerLoop[T]) -> T:
    return values.get()


def test_each_loop_has_one_value() -> None:
    values = PerLoop(object)

    async def main() -> None:
        assert values.get() is values.get() is values.peek()

    asyncio.run(main())


def test_value_of_a_loop_that_ended_is_dropped_with_the_next() -> None:
    values = PerLoop(object)
    for _ in range(10):
        asyncio.run(get(values))

    assert len(values) == 1


def test_value_is_closed_on_its_loop_before_that_ends() -> None:
    closed: list[tuple[object, object]] = []

    async def close(value: object) -> None:
        await asyncio.sleep(0)
        closed.append((value, asyncio.get_running_loop()))

    values = PerLoop(asyncio.get_running_loop, close)
    loops = [asyncio.run(get(values)) for _ in range(3)]

    assert closed == [(loop, loop) for loop in loops]
    assert len(values) == 0


def test_value_that_does_not_close_keeps_no_loop_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sync_streams.processes.per_loop.CLOSE_SECONDS", 0.05)

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    values = PerLoop(object, hang)
    asyncio.run(get(values))

    assert len(values) == 0


def test_forked_process_closes_nothing_of_its_parent() -> None:
    closed: list[object] = []

    async def close(value: object) -> None:
        closed.append(value)

    values = PerLoop(object, close)

    async def main() -> None:
        values.get()
        values.clear()

    asyncio.run(main())

    assert not closed


async def test_background_loop_runs_beside_the_running_one() -> None:
    background = BackgroundLoop("test")

    other = await asyncio.to_thread(background.run, _loop())
    background.stop()

    assert other is background.loop
    assert other is not asyncio.get_running_loop()


def test_background_loop_ends_its_tasks() -> None:
    ended: list[str] = []

    async def task() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    background = BackgroundLoop("test")
    background.loop.call_soon_threadsafe(lambda: asyncio.ensure_future(task()))
    background.run(asyncio.sleep(0))
    background.stop()

    assert ended == ["task"]
    assert not background.is_running
    assert background.loop.is_closed()


def test_a_client_that_waits_too_long_gets_an_error_and_its_work_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    background = BackgroundLoop("test")
    with pytest.raises(TimeoutError):
        background.run(hang(), 0.05)
    background.stop()

    assert cancelled == [True]


def test_loop_that_has_ended_takes_nothing() -> None:
    background = BackgroundLoop("test")
    background.stop()

    with pytest.raises(CancelledError):
        run_on(background.loop, asyncio.sleep(0))


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
