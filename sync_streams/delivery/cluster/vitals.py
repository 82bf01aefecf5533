"""Vitals: a process's uptime and memory."""

import os
from pathlib import Path
from time import monotonic

_STATM = Path("/proc/self/statm")


class _Start:
    moment = monotonic()


def note_start() -> None:
    """Restart the uptime of a process that was just forked."""
    _Start.moment = monotonic()


def uptime_seconds() -> int:
    """Return the seconds since this process loaded the app."""
    return int(monotonic() - _Start.moment)


def memory_bytes() -> int:
    """Return the memory in use; 0 where it is not available (macOS, Windows)."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
