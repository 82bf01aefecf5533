"""What the workers hold while nobody is connected, and whether it grows."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 1 / 4
"""Share of the looks that caches and allocators may take to fill."""

MAX_MB_AN_HOUR = 10
"""Memory that one worker may gain: a leak of 1 KB in each visit is several times it."""

NOISE_MB = 2
"""Memory that comes and goes between two looks."""

MAX_ERRORS = 1 / 1000
"""Share of the visits that may fail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Everything a cluster without clients still holds, both workers added up."""

    hours: float
    """Time since the start."""

    visits: int
    """Clients that have come and gone so far."""

    rss_mb: tuple[float, ...]
    """Resident memory of each worker."""

    connections: int
    """Socket consumers that are still referred to."""

    tasks: int
    """Tasks of the event loops."""

    topics: int
    """Streams that the hubs hold an entry for."""

    channels: int
    """Redis channels that somebody subscribes to."""

    keys: int
    """Redis keys."""


COUNTS = ("connections", "tasks", "topics", "channels", "keys")


def steady(looks: Sequence[Look]) -> Sequence[Look]:
    """Return the looks after the warm-up."""
    return looks[int(len(looks) * WARM_UP) :]


def slope(hours: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much values rise an hour, by least squares."""
    return statistics.linear_regression(hours, values).slope


def rises(looks: Sequence[Look]) -> list[float]:
    """Return what each worker gains, in MB an hour, after the warm-up."""
    later = steady(looks)
    hours = [look.hours for look in later]
    return [
        slope(hours, values)
        for values in zip(*(look.rss_mb for look in later), strict=True)
    ]


def faults(looks: Sequence[Look], errors: int) -> list[str]:
    """Return what is wrong, in words."""
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
        # A look may fall on a sweep or a probe; what leaks never comes down again.
        before, after = max(counts[:third]), min(counts[-third:])
        if after > before:
            found.append(f"{name} rise from {before} to {after}")
    if errors > looks[-1].visits * MAX_ERRORS:
        found.append(f"{errors} of {looks[-1].visits} visits failed")
    return found
