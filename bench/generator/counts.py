"""Counts of the load generator, and measurements derived from them."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Self

from bench.histogram import Histogram, difference, percentile

Counts = Counter[str]
"""Running totals: ``published``, ``expected``, ``received`` and the like."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The counts at one moment."""

    now: float
    cpu: float
    counts: Counts
    latency: Histogram
    reply_latency: Histogram

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Parse the generator's reply to ``snap``."""
        values = json.loads(line)
        return cls(
            now=values.pop("now"),
            cpu=values.pop("cpu"),
            latency=dict(values.pop("latency")),
            reply_latency=dict(values.pop("reply_latency")),
            counts=Counter(values),
        )

    @property
    def missing(self) -> int:
        """Number of expected deliveries that have not happened."""
        counts = self.counts
        return counts["expected"] - counts["received"] + counts["duplicates"]


@dataclass(kw_only=True)
class Measurement:
    """Results of one measured period."""

    seconds: float
    deliveries: float
    """Deliveries per second."""

    publishes: float
    """Publish requests answered per second."""

    p50: float
    """Delivery latency in milliseconds, from before the publish to after the read."""

    p99: float
    reply_p50: float
    """Time until a publish was answered, in milliseconds."""

    reply_p99: float
    generator_cpu: float
    """Share of its core that the load generator used."""

    server_cpu: float = 0.0
    """CPU seconds per second that the server used."""

    foreign_cpu: float = 0.0
    """Share of the server's core used by other processes: noise."""

    lost: int = 0
    """Deliveries that never happened, or gaps in the numbers that a subscriber saw."""

    duplicates: int = 0
    errors: int = 0
    closed: int = 0

    @classmethod
    def between(cls, before: Snapshot, after: Snapshot) -> Self:
        """Return rates and times between two snapshots."""
        seconds = after.now - before.now
        latency = difference(after.latency, before.latency)
        reply = difference(after.reply_latency, before.reply_latency)
        counts = after.counts - before.counts
        return cls(
            seconds=seconds,
            deliveries=counts["received"] / seconds,
            publishes=counts["replies"] / seconds,
            p50=percentile(latency, 50),
            p99=percentile(latency, 99),
            reply_p50=percentile(reply, 50),
            reply_p99=percentile(reply, 99),
            generator_cpu=(after.cpu - before.cpu) / seconds,
        )

    def account(self, before: Snapshot, after: Snapshot) -> None:
        """Fill in the losses between two moments when nothing was in flight."""
        counts = after.counts - before.counts
        # For a server that sends by itself, the expected number is unknown.
        missing = after.missing - before.missing
        self.lost = max(missing, 0) if counts["expected"] else counts["gaps"]
        self.duplicates = counts["duplicates"]
        self.errors = counts["errors"]
        self.closed = counts["closed"]
