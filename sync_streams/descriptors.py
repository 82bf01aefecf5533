"""File descriptors: how many this process may have, and a reserve for what must go on.

Each socket takes one. Without any left a process cannot open a connection to Redis or
PostgreSQL, nor answer who asks whether it lives. The kernel hands out the lowest free
number, so a number at the top tells that all below are taken.
"""

import os
import sys

if sys.platform != "win32":
    import resource

RESERVE = 64
"""Descriptors that connections with an access token leave; a quarter of few."""


def limit(*, is_hard: bool = False) -> int | None:
    """Return how many this process may have, or could be given; ``None``: any number.

    Args:
        is_hard: as far as the process may raise that by itself.
    """
    if sys.platform == "win32":
        return None
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[is_hard]
    return None if found == resource.RLIM_INFINITY else found


def reserve(most: int) -> int:
    """Return how many of *most* are not for newcomers."""
    return min(RESERVE, most // 4)


def are_scarce() -> bool:
    """Tell whether a newcomer would take of the reserve."""
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
    """Tell whether a socket has one of the last numbers, half of the reserve.

    Sockets that are about to be told that there is no place for them take the rest.
    """
    most = limit()
    return most is not None and number >= most - reserve(most) // 2
