"""What the soak test considers a leak, and what it considers noise."""

from dataclasses import replace
from typing import Any

import pytest

from bench.soak.verdict import MAX_MB_AN_HOUR, NOISE_MB, WARM_UP, Look, faults, slope

LOOKS = 24
HALF_AN_HOUR = 0.5


def look(share: float) -> Look:
    """Return a sample after a share of a run in which nothing grows."""
    return Look(
        hours=share * HALF_AN_HOUR,
        visits=int(20_000 * share),
        rss_mb=(120.0, 121.0),
        connections=0,
        tasks=12,
        topics=0,
        channels=5,
        keys=0,
    )


def run(length: float = 1.0) -> list[Look]:
    """Return the samples of a run, ``length`` times half an hour long."""
    return [look(length * number / LOOKS) for number in range(1, LOOKS + 1)]


def gaining(looks: list[Look], mb_an_hour: float) -> list[Look]:
    """Make the second worker gain memory, and both fluctuate by half a MB."""
    return [
        replace(
            one,
            rss_mb=(
                120.0 + number % 2 / 2,
                121.0 + number % 2 / 2 + mb_an_hour * one.hours,
            ),
        )
        for number, one in enumerate(looks)
    ]


def holding(one: Look, **counts: Any) -> Look:
    return replace(one, **counts)


def test_slope_is_the_rise_an_hour() -> None:
    assert slope([0, 0.25, 0.5], [100, 102, 104]) == pytest.approx(8)


def test_run_in_which_nothing_grows_is_well() -> None:
    assert faults(run(), errors=0) == []


def test_memory_that_rises_is_a_fault() -> None:
    assert faults(gaining(run(), MAX_MB_AN_HOUR - 1), errors=0) == []

    (fault,) = faults(gaining(run(), MAX_MB_AN_HOUR + 1), errors=0)

    assert fault.startswith("worker 2 gains ")


def test_memory_that_only_fluctuates_in_a_short_run_is_not_a_fault() -> None:
    looks = gaining(run(length=0.1), MAX_MB_AN_HOUR * 2)
    duration = looks[-1].hours * (1 - WARM_UP)

    assert duration * MAX_MB_AN_HOUR * 2 < NOISE_MB
    assert faults(looks, errors=0) == []


def test_memory_of_the_warm_up_does_not_count() -> None:
    looks = run()
    for number in range(int(LOOKS * WARM_UP)):
        looks[number] = replace(looks[number], rss_mb=(60.0, 60.0))

    assert faults(looks, errors=0) == []


@pytest.mark.parametrize("name", ["connections", "tasks", "topics", "channels", "keys"])
def test_objects_that_stay_behind_are_a_fault(name: str) -> None:
    looks = run()
    for number in range(LOOKS // 2, LOOKS):
        looks[number] = holding(looks[number], **{name: getattr(looks[0], name) + 1})

    (fault,) = faults(looks, errors=0)

    assert fault.startswith(f"{name} rise from ")


@pytest.mark.parametrize("name", ["connections", "tasks", "topics", "channels", "keys"])
def test_objects_that_disappear_again_are_not_a_fault(name: str) -> None:
    looks = run()
    looks[-1] = holding(looks[-1], **{name: 50})

    assert faults(looks, errors=0) == []


@pytest.mark.parametrize(("errors", "is_fault"), [(20, False), (21, True)])
def test_visits_that_fail_are_a_fault(errors: int, is_fault: bool) -> None:
    found = faults(run(), errors)

    assert found == ([f"{errors} of 20000 visits failed"] if is_fault else [])
