"""What the workers hold while no client is connected, and whether it grows."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 1 / 4
"""Share of the samples during which caches and allocators may fill."""

MAX_MB_AN_HOUR = 10
"""Memory that one worker may gain; a leak of 1 KB per visit is several times that."""

NOISE_MB = 2
"""Normal fluctuation of memory between two samples."""

MAX_ERRORS = 1 / 1000
"""Share of the visits that may fail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A sample of what a cluster without clients holds, as the sum of both workers."""

    hours: float
    """Time since the start."""

    visits: int
    """Clients that have connected and left so far."""

    rss_mb: tuple[float, ...]
    """Resident memory of each worker."""

    connections: int
    """Socket consumers that are still referenced."""

    tasks: int
    """Tasks of the event loops."""

    topics: int
    """Streams that have an entry in the hubs."""

    channels: int
    """Redis channels with subscribers."""

    keys: int
    """Redis keys."""


COUNTS = ("connections", "tasks", "topics", "channels", "keys")


def steady(looks: Sequence[Look]) -> Sequence[Look]:
    """Return the samples after the warm-up."""
    return looks[int(len(looks) * WARM_UP) :]


def slope(hours: Sequence[float], values: Sequence[float]) -> float:
    """Return the hourly rise of the values, by least squares."""
    return statistics.linear_regression(hours, values).slope


def rises(looks: Sequence[Look]) -> list[float]:
    """Return each worker's growth after the warm-up, in MB an hour."""
    later = steady(looks)
    hours = [look.hours for look in later]
    return [
        slope(hours, values)
        for values in zip(*(look.rss_mb for look in later), strict=True)
    ]


def faults(looks: Sequence[Look], errors: int) -> list[str]:
    """Return the faults, in words."""
    later = steady(looks)
    duration = later[-1].hours - later[0].hours
    found = [
        f"worker {number} gains {rise:.1f} MB an hour"
        for number, rise in enumerate(rises(looks), 1)
        if rise > MAX_MB_AN_HOUR and rise * duration > NOISE_MB
    ]
    third = len(later) // 3
    for name in COUNTS:
        counts = [getattr(look, name) for look in later]
        # A sample may coincide with a sweep or a probe; a leak never comes down again.
        before, after = max(counts[:third]), min(counts[-third:])
        if after > before:
            found.append(f"{name} rise from {before} to {after}")
    if errors > looks[-1].visits * MAX_ERRORS:
        found.append(f"{errors} of {looks[-1].visits} visits failed")
    return found
