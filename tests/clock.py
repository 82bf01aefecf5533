"""Clocks that tests advance, so they need not wait for deadlines."""

import asyncio
import time
from collections.abc import Callable

import pytest

Jump = Callable[[float], None]

TURNS = 20
"""Iterations of the loop that run everything that is due, and its consequences."""


async def settle() -> None:
    """Let everything happen that is due, and what follows from it."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class ManualClock:
    """A clock that stands still until a test sets :attr:`now`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Clock:
    """The running loop's time, which moves only with :meth:`advance`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._now = loop.time()

    def __call__(self) -> float:
        return self._now

    async def advance(self, seconds: float) -> None:
        """Let time pass, and run everything that is due by then."""
        self._now += seconds
        await settle()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this test's loop; it must not depend on a waiting thread."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock)
    return clock


@pytest.fixture
async def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Move the clock of this test's loop forward; it keeps running.

    Timers that are due by then fire in the next iteration of the loop.
    """
    loop = asyncio.get_running_loop()
    now, ahead = loop.time, 0.0

    def jump(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(loop, "time", lambda: now() + ahead)
    return jump


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Set the wall clock by which Streams expire forward or, if negative, back."""
    ahead = 0.0

    def set_clock(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    now = "sync_streams.delivery.topic.time"
    monkeypatch.setattr(now, lambda: time.time() + ahead)
    return set_clock


@pytest.fixture
def wait(jump: Jump, set_clock: Jump) -> Jump:
    """Let time pass, by the clock of this test's loop and by that of the Streams."""

    def wait(seconds: float) -> None:
        jump(seconds)
        set_clock(seconds)

    return wait
