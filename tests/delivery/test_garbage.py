"""Garbage is collected rarely, but still, in a process with connections."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from sync_streams.delivery.gc import tune_collector
from sync_streams.delivery.hub import get_hub
from tests.overrides import sync_settings

PYTHONS = (700, 10, 10)
OURS = (10_000, 10, 10)


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    """Start as Python does: with its own threshold, and nothing frozen."""
    before = gc.get_threshold()
    gc.set_threshold(*PYTHONS)
    gc.unfreeze()
    yield
    gc.set_threshold(*before)
    gc.freeze()


async def test_a_process_that_begins_to_serve_collects_rarely() -> None:
    await get_hub().start()

    assert gc.get_threshold() == OURS
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize("chosen", [(10_000, 5, 5), (50_000, 20, 20), (0, 10, 10)])
def test_settings_of_the_project_are_kept(chosen: tuple[int, int, int]) -> None:
    gc.set_threshold(*chosen)

    tune_collector()

    assert gc.get_threshold() == chosen


def test_the_setting_may_leave_it_alone() -> None:
    with sync_settings(gc_threshold=None):
        tune_collector()

    assert gc.get_threshold() == PYTHONS


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_garbage_does_not_pile_up() -> None:
    tune_collector()
    first = weakref.ref(Node())

    most = 0
    for _ in range(50_000):
        Node()
        most = max(most, gc.get_count()[0])

    assert first() is None
    assert most < 2 * OURS[0]
