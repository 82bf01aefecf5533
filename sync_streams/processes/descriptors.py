"""File descriptors: the process's limit, and a reserve for what must keep working.

Each socket takes one. With none left, a process cannot connect to Redis or PostgreSQL,
nor answer a health check. The kernel hands out the lowest free number, so a number near
the limit means that all below are taken.
"""

import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import resource

FOLDER = Path("/proc/self/fd")

RESERVE = 64
"""Descriptors that authenticated connections leave free; a quarter of a low limit."""

LIST_SECONDS = 1

_listed = 0, 0.0
"""The last count, and until when it is recent enough."""


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
    """Return how many descriptors are open, or 0 if the kernel does not say.

    Linux 6.2 and later answer at once, however many there are:
    https://docs.kernel.org/filesystems/proc.html.
    """
    try:
        return FOLDER.stat().st_size or _list()
    except OSError:
        return 0


def reserve(most: int) -> int:
    """Return how many of *most* descriptors new connections must leave free."""
    return min(RESERVE, most // 4)


def are_scarce() -> bool:
    """Return whether a new connection would use the reserve.

    The lowest free number alone is not enough: as connections come and go, lower
    numbers may be free while the reserve is in use.
    """
    most = limit()
    if most is None:
        return False
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return True
    os.close(number)
    return max(number, _recent_count()) >= most - reserve(most)


def is_last(number: int) -> bool:
    """Return whether a socket's number is in the last half of the reserve.

    The other half is for sockets that are told that the process is full. In the last
    one, an HTTP request is served while others make room, and no socket is opened.
    """
    most = limit()
    return most is not None and number >= most - reserve(most) // 2


def is_kept_free(number: int) -> bool:
    """Return whether a client's connection must be closed at once.

    It is in the last quarter of the reserve: Redis, the database and files need it.
    """
    most = limit()
    return most is not None and number >= most - reserve(most) // 4


def _list() -> int:
    return sum(1 for _ in os.scandir(FOLDER))


def _recent_count() -> int:
    """Return :func:`count`; if counting takes time, a result up to a second old."""
    global _listed
    try:
        if number := FOLDER.stat().st_size:
            return number
        now = time.monotonic()
        if now >= _listed[1]:
            _listed = _list(), now + LIST_SECONDS
    except OSError:
        return 0
    return _listed[0]
