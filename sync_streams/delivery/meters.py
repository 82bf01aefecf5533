"""Meters: this process's counters and timings, for metrics.

Counting is one dict operation, cheap enough for the path of a Message. Labels name
kinds, never a Stream, a Service or an identity: their number must stay small.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from time import time

BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
"""Upper bounds of a histogram's buckets, in seconds."""

Labels = tuple[str, ...]
Reading = float | Mapping[Labels, float]
"""A figure, or figures by the values of their labels."""

Sample = list[object]
"""A name, its label values, and a number. For a histogram the last is a list: the count
of each bucket, the count above the last bucket, and the sum in seconds."""


class Histogram:
    """Counts durations by bucket."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0


class Meters:
    """Counts, histograms and gauges of one process."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._histograms: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.gauges: dict[str, Callable[[], Reading]] = {}
        """Read at each scrape, by name; filled in by ``wiring``."""

    def count(self, name: str, *labels: str) -> None:
        """Increase a counter by one."""
        self._counts[name, labels] += 1

    def observe(self, name: str, seconds: float) -> None:
        """Record a duration."""
        histogram = self._histograms[name]
        histogram.counts[bisect_left(BUCKETS, seconds)] += 1
        histogram.sum += seconds

    def observe_since(self, name: str, moment: object) -> None:
        """Record the time since a moment in seconds since 1970, if it is one."""
        if isinstance(moment, float):
            # If the hosts' clocks differ, it may seem to be in the future.
            self.observe(name, max(0.0, time() - moment))

    def samples(self) -> list[Sample]:
        """Return everything, in a form that can be sent over a channel layer."""
        return [list(sample) for sample in self._all()]

    def _all(self) -> Iterator[tuple[str, list[str], object]]:
        for (name, labels), number in tuple(self._counts.items()):
            yield name, list(labels), number
        for name, histogram in tuple(self._histograms.items()):
            yield name, [], [*histogram.counts, histogram.sum]
        for name, read in self.gauges.items():
            reading = read()
            table = reading if isinstance(reading, Mapping) else {(): reading}
            for labels, value in table.items():
                yield name, list(labels), value


meters = Meters()
