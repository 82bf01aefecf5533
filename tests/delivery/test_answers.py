"""Answers: matched by name, cumulative, timed; nothing else opens a window."""

import time

import pytest

from sync_streams.delivery.answers import Answers


@pytest.fixture
def answers() -> Answers:
    """Three frames of 100 bytes on their way: two with a Message, one with four."""
    answers = Answers()
    answers.expect("a", 100, 1)
    answers.expect("b", 200, 1)
    answers.expect("c", 300, 4)
    return answers


def test_each_answer_proves_what_was_read_up_to_its_frame(answers: Answers) -> None:
    seen = []

    for name in "abc":
        assert answers.take(name)
        seen.append((answers.read, answers.acknowledged, answers.are_due))

    assert seen == [(100, 1, True), (200, 2, True), (300, 6, False)]
    assert answers.asked == 6


def test_a_later_answer_stands_for_the_older_ones(answers: Answers) -> None:
    assert answers.take("b")
    assert not answers.take("a")

    assert (answers.read, answers.acknowledged) == (200, 2)
    assert answers.are_due


@pytest.mark.parametrize("forged", ["", "A", "aa", "d"])
def test_a_forged_answer_proves_nothing(answers: Answers, forged: str) -> None:
    assert not answers.take(forged)

    assert (answers.read, answers.acknowledged) == (0, 0)


def test_a_doubled_answer_proves_nothing_more(answers: Answers) -> None:
    assert answers.take("a")
    assert not answers.take("a")

    assert (answers.read, answers.acknowledged) == (100, 1)


def test_an_answer_that_came_before_its_frame_proves_nothing() -> None:
    answers = Answers()
    assert not answers.take("a")

    answers.expect("a", 100, 1)

    assert answers.read == 0
    assert answers.are_due


def test_one_answer_at_a_time_is_timed(answers: Answers) -> None:
    time.sleep(0.02)
    answers.take("a")
    slow = answers.seconds
    answers.expect("d", 400, 1)
    answers.take("c")

    assert slow >= 0.02
    assert answers.seconds == slow, "b and c were on their way while a was timed"
    answers.take("d")
    assert answers.seconds > 0
    assert answers.seconds != slow


def test_an_answer_that_was_skipped_still_stops_the_clock(answers: Answers) -> None:
    answers.take("c")

    assert answers.seconds > 0
