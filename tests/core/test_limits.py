"""Publish rate: no window of its length ever holds one Message too many."""

import asyncio
import multiprocessing
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from threading import Thread
from typing import Any

import pytest
import redis
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from sync_streams.errors import RateLimited, ServiceUnavailable
from sync_streams.redis.rate_limit import PublishLog, aspend, rate
from sync_streams.values.sids import name_digits, new_named_stream_sid, new_stream_sid
from tests.programs import RedisServer, free_port

SECOND = 1_000_000
"""In microseconds, as windows are given."""

TICK = 1 / 1024
"""A binary fraction of a second: sums of it are exact, so edges are edges."""


class Clock:
    """A clock that stands still until it is advanced."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def spend(stream_sid: str) -> None:
    asyncio.run(aspend(stream_sid))


def spend_all(stream_sid: str) -> tuple[int, RateLimited]:
    """Spend until refused; return the number of successes, and the refusal."""
    for accepted in range(1_000):
        try:
            spend(stream_sid)
        except RateLimited as refused:
            return accepted, refused
    pytest.fail("never refused")


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.redis)])
def shared(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the two ways to count; the value is the Redis URL or empty."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    with override_settings(SYNC_STREAMS={"REDIS_URL": url}):
        yield url


gaps = st.lists(st.integers(0, 400).map(lambda ticks: ticks * TICK), max_size=300)


@given(gaps, st.integers(1, 40))
def test_no_window_ever_holds_more_than_the_limit(
    waits: list[float], limit: int
) -> None:
    clock = Clock()
    log = PublishLog(clock)
    accepted: list[float] = []

    for wait in waits:
        clock.now += wait
        in_window = [moment for moment in accepted if clock.now - moment < 1]
        refused = log.wait("TO1", limit, SECOND)
        if refused:
            assert len(in_window) == limit
            assert refused == in_window[0] + 1 - clock.now
        else:
            assert len(in_window) < limit
            accepted.append(clock.now)


@given(gaps, st.lists(st.integers(0, 5), min_size=300, max_size=300))
def test_streams_have_separate_rates(waits: list[float], streams: list[int]) -> None:
    clock = Clock()
    together, alone = PublishLog(clock), [PublishLog(clock) for _ in range(6)]

    for wait, stream in zip(waits, streams, strict=False):
        clock.now += wait
        expected = alone[stream].wait("TO", 2, SECOND)
        assert together.wait(f"TO{stream}", 2, SECOND) == expected


def test_the_31st_message_waits_until_the_first_is_a_second_old() -> None:
    clock = Clock()
    log = PublishLog(clock)

    assert [log.wait("TO1", 30, SECOND) for _ in range(30)] == [0] * 30
    assert log.wait("TO1", 30, SECOND) == 1.0
    clock.now += 1 - TICK
    assert log.wait("TO1", 30, SECOND) == TICK
    clock.now += TICK
    assert log.wait("TO1", 30, SECOND) == 0


def test_a_refused_message_spends_nothing() -> None:
    clock = Clock()
    log = PublishLog(clock)
    for _ in range(1_000):
        log.wait("TO1", 30, SECOND)

    clock.now += 1

    assert [log.wait("TO1", 30, SECOND) for _ in range(30)] == [0] * 30


def test_streams_that_went_quiet_are_forgotten() -> None:
    clock = Clock()
    log = PublishLog(clock)

    for number in range(100_000):
        clock.now += TICK
        log.wait(f"TO{number}", 30, SECOND)

    assert len(log._accepted) <= 1_024 + 2


def test_a_log_keeps_only_the_limit() -> None:
    clock = Clock()
    log = PublishLog(clock)

    for _ in range(10_000):
        clock.now += 1 / 32
        log.wait("TO1", 30, 10 * SECOND)

    assert sum(map(len, log._accepted.values())) <= 30
    assert sys.getsizeof(log._accepted["TO1"]) < 2_000


def test_threads_share_the_rate() -> None:
    log = PublishLog(Clock())
    waits: list[float] = []

    def hammer() -> None:
        waits.extend(log.wait("TO1", 30, SECOND) for _ in range(100))

    threads = [Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert waits.count(0) == 30
    assert len(waits) == 800


def test_the_30th_message_passes_and_the_31st_does_not(shared: str) -> None:
    stream_sid, other_sid = new_stream_sid(), new_stream_sid()
    started = time.monotonic()

    accepted, refused = spend_all(stream_sid)
    took = time.monotonic() - started
    spend(other_sid)

    assert 30 <= accepted <= 30 * (1 + int(took))
    assert 0 < refused.retry_after <= 1


def test_successive_streams_of_one_name_share_its_rate(shared: str) -> None:
    name = new_stream_sid()
    sids = [new_named_stream_sid("IS0", name) for _ in range(3)]
    limits = {"REDIS_URL": shared, "PUBLISH_RATE": 3 / 60, "PUBLISH_WINDOW_SECONDS": 60}

    with override_settings(SYNC_STREAMS=limits):
        for sid in sids:
            spend(sid)
        with pytest.raises(RateLimited, match=sids[0]):
            spend(sids[0])
        with pytest.raises(RateLimited):
            spend(new_named_stream_sid("IS0", name))
        spend(new_named_stream_sid("IS0", f"{name}."))
        spend(new_named_stream_sid("IS1", name))

    assert len(set(sids)) == 3


def test_a_refused_publisher_is_accepted_after_it_has_waited(shared: str) -> None:
    stream_sid = new_stream_sid()
    limits = {"REDIS_URL": shared, "PUBLISH_RATE": 20, "PUBLISH_WINDOW_SECONDS": 0.1}

    with override_settings(SYNC_STREAMS=limits):
        _, refused = spend_all(stream_sid)
        time.sleep(refused.retry_after + 0.001)
        spend(stream_sid)


def test_a_window_of_10_seconds_allows_a_burst_of_300(shared: str) -> None:
    stream_sid = new_stream_sid()
    limits = {"REDIS_URL": shared, "PUBLISH_WINDOW_SECONDS": 10}

    with override_settings(SYNC_STREAMS=limits):
        for _ in range(300):
            spend(stream_sid)
        with pytest.raises(RateLimited):
            spend(stream_sid)


def hammer_redis(url: str, key: str, barrier: Barrier, seconds: float) -> None:
    """Spend as fast as possible and note when each was accepted by Redis' clock."""
    client = redis.Redis.from_url(url)
    with override_settings(SYNC_STREAMS={"REDIS_URL": url}):
        barrier.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                spend(key)
            except RateLimited:
                client.incr(f"{key}:refused")


def join_all(publishers: list[Any], then: Callable[[], object]) -> None:
    for publisher in publishers:
        publisher.join()
    then()


@pytest.mark.redis
def test_processes_together_never_exceed_the_rate(redis_url: str) -> None:
    stream_sid = new_stream_sid()
    digits = name_digits(stream_sid)
    moments: list[float] = []
    client: Any = redis.Redis.from_url(redis_url)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    publishers = [
        context.Process(
            target=hammer_redis, args=(redis_url, stream_sid, barrier, 1.5), daemon=True
        )
        for _ in range(3)
    ]

    with client.monitor() as monitor:
        for publisher in publishers:
            publisher.start()
        barrier.wait()
        last = f"{stream_sid}:done"
        watcher = Thread(target=join_all, args=(publishers, lambda: client.incr(last)))
        watcher.start()
        for command in monitor.listen():
            if re.match(rf"LPUSH \S*:rate:{{{digits}}}", command["command"]):
                moments.append(int(command["command"].split()[-1]))
            if last in command["command"]:
                break
        watcher.join()

    early = zip(moments, moments[30:], strict=False)
    assert len(moments) > 30
    assert int(client.get(f"{stream_sid}:refused")) > 0
    assert min(later - first for first, later in early) >= 1_000_000


@pytest.mark.redis
async def test_a_thousand_publishers_at_once_are_all_served(redis_url: str) -> None:
    with override_settings(SYNC_STREAMS={"REDIS_URL": redis_url}):
        await asyncio.gather(*(aspend(new_stream_sid()) for _ in range(1_000)))


@pytest.mark.redis
def test_a_streams_log_leaves_redis_when_its_window_is_over(redis_url: str) -> None:
    stream_sid = new_stream_sid()
    client: Any = redis.Redis.from_url(redis_url)

    with override_settings(SYNC_STREAMS={"REDIS_URL": redis_url}):
        spend(stream_sid)

    (key,) = client.keys(f"*{name_digits(stream_sid)}*")
    assert 0 < client.pttl(key) <= 1_000


def test_a_redis_that_refuses_is_unavailable_at_once() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    started = time.monotonic()

    with (
        override_settings(SYNC_STREAMS={"REDIS_URL": url}),
        pytest.raises(ServiceUnavailable),
    ):
        spend(new_stream_sid())

    assert time.monotonic() - started < 2


def test_a_redis_that_is_silent_is_unavailable_within_the_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        settings = {"REDIS_URL": url, "BROADCAST_TIMEOUT_SECONDS": 0.3}
        started = time.monotonic()

        with (
            override_settings(SYNC_STREAMS=settings),
            pytest.raises(ServiceUnavailable),
        ):
            spend(new_stream_sid())

        assert time.monotonic() - started < 2


@pytest.mark.redis
def test_a_redis_that_came_back_counts_again_at_once() -> None:
    server = RedisServer()
    with override_settings(SYNC_STREAMS={"REDIS_URL": server.url}):
        spend(new_stream_sid())
        server.stop()
        with pytest.raises(ServiceUnavailable):
            spend(new_stream_sid())
        server.start()
        spend(new_stream_sid())
    server.stop()


@pytest.mark.redis
async def test_a_log_from_the_future_counts_for_nothing(redis_url: str) -> None:
    # As it is once somebody has set the clock of Redis back by a minute.
    client: Any = redis.Redis.from_url(redis_url)
    with override_settings(SYNC_STREAMS={"REDIS_URL": redis_url}):
        sid = new_stream_sid()
        key, limit, _ = rate(sid)
        moment = (time.time() + 60) * 1_000_000
        client.rpush(key, *(f"{moment - n:.0f}" for n in range(limit)))

        for _ in range(limit):
            await aspend(sid)
        with pytest.raises(RateLimited) as refused:
            await aspend(sid)
    client.close()

    assert refused.value.retry_after <= 1
