"""Ranking: Messages by the minute, under a clock of the test's own."""

from datetime import datetime
from typing import Any

import pytest

from sync_streams.delivery.cluster.ranking import MAX_KEPT, MINUTES, Minutes, merge
from sync_streams.values.rates import Rates
from tests.clock import ManualClock

NOON = datetime.fromisoformat("2026-01-01T12:00:00Z").timestamp()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def minutes(clock: ManualClock) -> Minutes:
    """A process that has just started."""
    minutes = Minutes(Rates(clock), clock)
    minutes.take()
    return minutes


def publish(minutes: Minutes, sid: str, count: int) -> None:
    for _ in range(count):
        minutes.rates.note(sid)


def test_minute_is_counted_once_it_has_ended(
    minutes: Minutes, clock: ManualClock
) -> None:
    publish(minutes, "TO1", 3)
    clock.now += 59
    minutes.take()
    assert minutes.report(["TO1"])["counts"] == {"TO1": []}

    clock.now += 1
    minutes.take()
    minutes.take()

    assert minutes.report(["TO1", "TO2"])["counts"] == {"TO1": [3], "TO2": [0]}


def test_skipped_minutes_are_empty_and_the_oldest_are_forgotten(
    minutes: Minutes, clock: ManualClock
) -> None:
    publish(minutes, "TO1", 1)
    clock.now += 180
    minutes.take()
    assert minutes.report(["TO1"])["counts"]["TO1"] == [0, 0, 1]

    clock.now += 60 * (MINUTES + 5)
    minutes.take()

    assert minutes.report(["TO1"])["counts"]["TO1"] == [0] * MINUTES


def test_minute_keeps_the_busiest_only(minutes: Minutes, clock: ManualClock) -> None:
    for number in range(MAX_KEPT + 1):
        publish(minutes, f"TO{number}", 1 if number else 2)
    clock.now += 60
    minutes.take()

    sids = [f"TO{number}" for number in range(MAX_KEPT + 1)]
    counts = minutes.report(sids)["counts"]

    assert counts["TO0"] == [2]
    assert sum(one == [1] for one in counts.values()) == MAX_KEPT - 1


def report(newest: int, *counts: int) -> dict[str, Any]:
    return {"newest": newest, "counts": {"TO1": list(counts)}}


def test_reports_of_processes_are_added_minute_by_minute() -> None:
    late = report(9, 60, 120)

    total = merge([report(10, 600, 60), late, {"newest": 10, "counts": {}}], "TO1")

    assert len(total) == MINUTES
    assert total[-3:] == [1.0, 12.0, 1.0]


def test_report_of_long_ago_is_outside_the_hour() -> None:
    assert merge([report(1, 60), report(1 + MINUTES, 0)], "TO1") == [0] * MINUTES
