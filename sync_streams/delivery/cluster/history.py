"""History: the last hour of a process's figures, a sample every ten seconds.

Kept in memory and lost with the process. All processes sample the same ten seconds of
the clock, so what they answer can be added up.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

SAMPLE_SECONDS = 10
SAMPLES = 360

COUNTERS = ("published", "delivered", "refused", "dropped", "gaps")
"""Figures that only grow; a sample is what they grew by."""

GAUGES = ("connections",)
"""Figures that go up and down; a sample is what they were."""

NAMES = (*COUNTERS, *GAUGES)


class Report(TypedDict):
    """One process's history."""

    bucket: int
    """Number of the newest sample's ten seconds since 1970."""

    samples: list[list[int]]
    """Oldest first; each holds the figures in the order of :data:`NAMES`."""


class History:
    """The samples of this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._samples: deque[list[int]] = deque(maxlen=SAMPLES)
        self._bucket = 0
        self._before = dict.fromkeys(COUNTERS, 0)

    def take(self, figures: Mapping[str, int]) -> None:
        """Take a sample, once for each ten seconds.

        What a process did while it could not take any is in the next one.
        """
        bucket = int(self._clock() // SAMPLE_SECONDS)
        if bucket <= self._bucket:
            return
        gauges = [figures.get(name, 0) for name in GAUGES]
        missed = bucket - self._bucket - 1 if self._bucket else 0
        for _ in range(min(missed, SAMPLES)):
            self._samples.append([*(0 for _ in COUNTERS), *gauges])
        counted = {name: figures.get(name, 0) for name in COUNTERS}
        growth = [max(0, total - self._before[name]) for name, total in counted.items()]
        self._samples.append([*growth, *gauges])
        self._bucket, self._before = bucket, counted

    def report(self) -> Report:
        """Return the samples, to be sent to the process that asks."""
        return {"bucket": self._bucket, "samples": list(self._samples)}


def merge(reports: Iterable[Report]) -> dict[str, list[int]]:
    """Add up the histories of processes.

    Returns:
        By name, :data:`SAMPLES` samples, oldest first; 0 where there was none.
    """
    known = list(reports)
    newest = max((report["bucket"] for report in known), default=0)
    sums = [[0] * SAMPLES for _ in NAMES]
    for report in known:
        last = SAMPLES - 1 - (newest - report["bucket"])
        for age, sample in enumerate(reversed(report["samples"])):
            if last - age < 0:
                break
            for series, value in zip(sums, sample, strict=True):
                series[last - age] += value
    return dict(zip(NAMES, sums, strict=True))
