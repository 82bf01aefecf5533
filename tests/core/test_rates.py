"""Rates by SID, under a clock of the test's own."""

import pytest

from sync_streams.values.rates import MAX_COUNTED, WINDOW_SECONDS, Rates
from tests.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def rates(clock: ManualClock) -> Rates:
    return Rates(clock)


def test_events_are_spread_over_the_window(rates: Rates) -> None:
    for _ in range(10):
        rates.note("TO1")
    rates.note("TO2")

    assert rates.per_second() == {
        "TO1": 10 / WINDOW_SECONDS,
        "TO2": 1 / WINDOW_SECONDS,
    }


def test_window_before_counts_as_far_as_it_lies_within(
    rates: Rates, clock: ManualClock
) -> None:
    for _ in range(8):
        rates.note("TO1")

    clock.now += WINDOW_SECONDS * 1.25
    assert rates.per_second() == {"TO1": pytest.approx(6 / WINDOW_SECONDS)}

    clock.now += WINDOW_SECONDS * 0.75
    assert rates.per_second() == {}


def test_windows_without_events_are_passed_over(
    rates: Rates, clock: ManualClock
) -> None:
    rates.note("TO1")
    clock.now += 2 * WINDOW_SECONDS
    rates.note("TO2")

    assert rates.per_second() == {"TO2": 1 / WINDOW_SECONDS}


def test_table_is_bounded_and_known_streams_still_count(rates: Rates) -> None:
    for number in range(MAX_COUNTED + 1):
        rates.note(f"TO{number}")
    rates.note("TO0")

    found = rates.per_second()

    assert len(found) == MAX_COUNTED
    assert found["TO0"] == 2 / WINDOW_SECONDS


def test_each_event_is_taken_once_however_the_windows_lie(
    rates: Rates, clock: ManualClock
) -> None:
    rates.note("TO1")
    clock.now += WINDOW_SECONDS * 0.5
    rates.note("TO1")
    assert rates.take() == {"TO1": 2}

    rates.note("TO1")
    clock.now += WINDOW_SECONDS
    rates.note("TO2")
    clock.now += WINDOW_SECONDS * 7
    rates.note("TO1")

    assert rates.take() == {"TO1": 2, "TO2": 1}
    assert rates.take() == {}


def test_counts_that_nobody_takes_are_bounded(rates: Rates, clock: ManualClock) -> None:
    for number in range(MAX_COUNTED):
        rates.note(f"TO{number}")
    clock.now += WINDOW_SECONDS
    rates.note("TO-late")
    rates.note("TO0")

    taken = rates.take()

    assert len(taken) == MAX_COUNTED
    assert taken["TO0"] == 2
