"""Vitals: what a process tells of itself, its hub apart."""

import os
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")


class _Start:
    moment = time.time()


def note_start() -> None:
    """Note that this process, just forked, starts now."""
    _Start.moment = time.time()


def uptime_seconds() -> int:
    """Return for how long this process has run, since it loaded the app."""
    return int(time.time() - _Start.moment)


def memory_bytes() -> int:
    """Return the memory in use; 0 where the system does not say (macOS, Windows)."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
