"""History: a process's figures for the last hour, sampled every ten seconds.

It is kept in memory and lost with the process. All processes sample the same
ten-second periods of the clock, so their histories can be added up.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

SAMPLE_SECONDS = 10
SAMPLES = 360

COUNTERS = ("published", "delivered", "refused", "dropped", "gaps")
"""Figures that only grow; a sample is the increase."""

GAUGES = ("connections",)
"""Figures that go up and down; a sample is the value."""

NAMES = (*COUNTERS, *GAUGES)


class Report(TypedDict):
    """One process's history."""

    bucket: int
    """Number of the newest sample's ten-second period since 1970."""

    samples: list[list[int]]
    """Oldest first; each contains the figures in the order of :data:`NAMES`."""


class History:
    """The samples of this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._samples: deque[list[int]] = deque(maxlen=SAMPLES)
        self._bucket = 0
        self._before = dict.fromkeys(COUNTERS, 0)

    def take(self, figures: Mapping[str, int]) -> None:
        """Take a sample, at most once for each ten-second period.

        If periods were skipped, the next sample contains their increase. If the clock
        was set back, the samples taken before move back with it.
        """
        bucket = int(self._clock() // SAMPLE_SECONDS)
        if bucket == self._bucket:
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
        """Return the samples, for the process that asks."""
        return {"bucket": self._bucket, "samples": list(self._samples)}


def merge(reports: Iterable[Report]) -> dict[str, list[int]]:
    """Add up the histories of processes.

    Returns:
        :data:`SAMPLES` samples by name, oldest first; 0 where there is none.
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
