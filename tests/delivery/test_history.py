"""The last hour in memory: sampled by the clock, added up over processes."""

from typing import Any

import pytest

from sync_streams.delivery.cluster.history import (
    NAMES,
    SAMPLE_SECONDS,
    SAMPLES,
    History,
    merge,
)
from tests.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


def report(bucket: int, *published: int) -> Any:
    samples = [[count, *(0 for _ in NAMES[1:])] for count in published]
    return {"bucket": bucket, "samples": samples}


def test_sample_holds_increases_of_counters_and_values_of_gauges(
    clock: ManualClock,
) -> None:
    history = History(clock)
    history.take({"published": 5, "connections": 7})
    clock.now += SAMPLE_SECONDS
    history.take({"published": 8, "connections": 6})

    hour = merge([history.report()])

    assert hour["published"][-2:] == [5, 3]
    assert hour["connections"][-2:] == [7, 6]
    assert hour["dropped"] == [0] * SAMPLES


def test_one_sample_is_taken_in_ten_seconds(clock: ManualClock) -> None:
    history = History(clock)
    history.take({"published": 1})
    clock.now += SAMPLE_SECONDS - 1
    history.take({"published": 2})
    clock.now += 1
    history.take({"published": 3})

    assert merge([history.report()])["published"][-3:] == [0, 1, 2]


def test_time_without_samples_stays_empty_and_is_not_lost(clock: ManualClock) -> None:
    history = History(clock)
    history.take({"published": 1})
    clock.now += 3 * SAMPLE_SECONDS
    history.take({"published": 9})

    assert merge([history.report()])["published"][-4:] == [1, 0, 0, 8]


def test_history_holds_an_hour(clock: ManualClock) -> None:
    history = History(clock)
    for number in range(2 * SAMPLES):
        clock.now += SAMPLE_SECONDS
        history.take({"published": number})

    assert len(history.report()["samples"]) == SAMPLES


@pytest.mark.parametrize("pause", [SAMPLES, 10**9])
def test_pause_longer_than_an_hour_is_bounded(clock: ManualClock, pause: int) -> None:
    history = History(clock)
    history.take({"published": 1})
    clock.now += pause * SAMPLE_SECONDS
    history.take({"published": 2})

    assert merge([history.report()])["published"] == [*([0] * (SAMPLES - 1)), 1]


def test_history_goes_on_when_the_clock_is_set_back(clock: ManualClock) -> None:
    history = History(clock)
    history.take({"published": 1})
    clock.now -= 5 * SAMPLE_SECONDS
    history.take({"published": 3})
    clock.now += SAMPLE_SECONDS
    history.take({"published": 6})

    report = history.report()
    assert report["bucket"] == clock.now // SAMPLE_SECONDS
    assert merge([report])["published"][-3:] == [1, 2, 3]
    assert len(report["samples"]) == 3


def test_processes_are_added_up_by_the_clock() -> None:
    published = merge([report(100, 1, 2, 3), report(101, 10), report(99, 5, 5)])

    assert published["published"][-4:] == [1 + 5, 2 + 5, 3, 10]


def test_process_that_stopped_sampling_an_hour_ago_counts_nothing() -> None:
    hour = merge([report(100, 7), report(100 + SAMPLES, 1)])

    assert sum(hour["published"]) == 1


def test_an_hour_without_answers_has_no_figures() -> None:
    assert merge([]) == {name: [0] * SAMPLES for name in NAMES}
