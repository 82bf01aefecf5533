"""Acknowledgements: matched by name, cumulative, timed; nothing else opens a window."""

import pytest

from sync_streams.delivery.outbox import acknowledgements as tested
from sync_streams.delivery.outbox.acknowledgements import Acknowledgements
from tests.clock import ManualClock


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock that times acknowledgements."""
    time = ManualClock(1000)
    monkeypatch.setattr(tested, "monotonic", time)
    return time


@pytest.fixture
def acknowledgements(time: ManualClock) -> Acknowledgements:
    """Three frames of 100 bytes in flight: two with one Message, one with four."""
    acknowledgements = Acknowledgements()
    acknowledgements.expect("a", 100, 1)
    acknowledgements.expect("b", 200, 1)
    acknowledgements.expect("c", 300, 4)
    return acknowledgements


def test_each_acknowledgement_covers_everything_up_to_its_frame(
    acknowledgements: Acknowledgements,
) -> None:
    seen = []

    for name in "abc":
        assert acknowledgements.take(name)
        seen.append(
            (
                acknowledgements.read,
                acknowledgements.acknowledged,
                acknowledgements.are_due,
            )
        )

    assert seen == [(100, 1, True), (200, 2, True), (300, 6, False)]
    assert acknowledgements.asked == 6


def test_a_later_acknowledgement_stands_for_the_older_ones(
    acknowledgements: Acknowledgements,
) -> None:
    assert acknowledgements.take("b")
    assert not acknowledgements.take("a")

    assert (acknowledgements.read, acknowledgements.acknowledged) == (200, 2)
    assert acknowledgements.are_due


@pytest.mark.parametrize("forged", ["", "A", "aa", "d"])
def test_a_forged_acknowledgement_proves_nothing(
    acknowledgements: Acknowledgements, forged: str
) -> None:
    assert not acknowledgements.take(forged)

    assert (acknowledgements.read, acknowledgements.acknowledged) == (0, 0)


def test_a_repeated_acknowledgement_proves_nothing_more(
    acknowledgements: Acknowledgements,
) -> None:
    assert acknowledgements.take("a")
    assert not acknowledgements.take("a")

    assert (acknowledgements.read, acknowledgements.acknowledged) == (100, 1)


def test_an_acknowledgement_that_came_before_its_frame_proves_nothing() -> None:
    acknowledgements = Acknowledgements()
    assert not acknowledgements.take("a")

    acknowledgements.expect("a", 100, 1)

    assert acknowledgements.read == 0
    assert acknowledgements.are_due


def test_one_acknowledgement_at_a_time_is_timed(
    acknowledgements: Acknowledgements, time: ManualClock
) -> None:
    time.now += 2
    acknowledgements.take("a")
    acknowledgements.expect("d", 400, 1)
    time.now += 5
    acknowledgements.take("c")
    assert acknowledgements.seconds == 2, "b and c were on their way while a was timed"

    time.now += 1
    acknowledgements.take("d")
    assert acknowledgements.seconds == 6


def test_an_acknowledgement_that_was_skipped_still_stops_the_clock(
    acknowledgements: Acknowledgements, time: ManualClock
) -> None:
    time.now += 3
    acknowledgements.take("c")

    assert acknowledgements.seconds == 3
