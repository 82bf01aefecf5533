"""File descriptors: the process's limit, and a reserve for what must keep working.

Each socket takes one. With none left, a process cannot connect to Redis or PostgreSQL,
nor answer a health check. The kernel hands out the lowest free number, so a number near
the limit means that all below are taken.
"""

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

FOLDER = Path("/proc/self/fd")

RESERVE = 64
"""Descriptors that authenticated connections leave free; a quarter of a low limit."""


def limit(*, is_hard: bool = False) -> int | None:
    """Return the limit of open descriptors; ``None``: there is none.

    Args:
        is_hard: return the hard limit, up to which a process may raise its own.
    """
    if sys.platform == "win32":
        return None
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[is_hard]
    return None if found == resource.RLIM_INFINITY else found


def count() -> int:
    """Return how many descriptors are open, or 0 where the kernel does not say.

    Linux 6.2 and later answer at once, however many there are:
    https://docs.kernel.org/filesystems/proc.html.
    """
    try:
        return FOLDER.stat().st_size or sum(1 for _ in os.scandir(FOLDER))
    except OSError:
        return 0


def reserve(most: int) -> int:
    """Return how many of *most* descriptors new connections must leave free."""
    return min(RESERVE, most // 4)


def are_scarce() -> bool:
    """Return whether a new connection would use the reserve."""
    most = limit()
    if most is None:
        return False
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return True
    os.close(number)
    return number >= most - reserve(most)


def is_last(number: int) -> bool:
    """Return whether a socket's number is in the last half of the reserve.

    The other half is for sockets that are told that the process is full.
    """
    most = limit()
    return most is not None and number >= most - reserve(most) // 2
