"""Rates of Streams, under a clock of the test's own."""

import pytest

from sync_streams.values.stream_rates import MAX_STREAMS, WINDOW_SECONDS, StreamRates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> StreamRates:
    return StreamRates(clock)


def test_what_happened_is_spread_over_the_window(rates: StreamRates) -> None:
    for _ in range(10):
        rates.note("TO1")
    rates.note("TO2")

    assert rates.per_second() == {
        "TO1": 10 / WINDOW_SECONDS,
        "TO2": 1 / WINDOW_SECONDS,
    }


def test_window_before_counts_as_far_as_it_lies_within(
    rates: StreamRates, clock: Clock
) -> None:
    for _ in range(8):
        rates.note("TO1")

    clock.now += WINDOW_SECONDS * 1.25
    assert rates.per_second() == {"TO1": pytest.approx(6 / WINDOW_SECONDS)}

    clock.now += WINDOW_SECONDS * 0.75
    assert rates.per_second() == {}


def test_windows_without_events_are_passed_over(
    rates: StreamRates, clock: Clock
) -> None:
    rates.note("TO1")
    clock.now += 2 * WINDOW_SECONDS
    rates.note("TO2")

    assert rates.per_second() == {"TO2": 1 / WINDOW_SECONDS}


def test_table_is_bounded_and_known_streams_still_count(rates: StreamRates) -> None:
    for number in range(MAX_STREAMS + 1):
        rates.note(f"TO{number}")
    rates.note("TO0")

    found = rates.per_second()

    assert len(found) == MAX_STREAMS
    assert found["TO0"] == 2 / WINDOW_SECONDS
