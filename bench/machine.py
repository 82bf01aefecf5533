"""The machine's cores, limits, CPU time and memory, from /proc(5)."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SECONDS = 0.5
QUIET_SHARE = 0.05
"""Share of a core up to which it counts as quiet."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def descriptor_limits() -> tuple[int, int]:
    """Return the soft and hard limits of open files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> None:
    """Raise the limit of open files to this process's maximum."""
    _, most = descriptor_limits()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cores() -> tuple[set[int], set[int]]:
    """Return the server's cores and the load generator's; separate if possible."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


@contextmanager
def running_on(cores: set[int]) -> Iterator[None]:
    """Restrict this thread, and the processes that it starts, to some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            members.extend(int(child) for child in _read(task).split())
    return members


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that the processes have used so far, in seconds."""
    total = 0
    for pid in pids:
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        total += sum(map(int, fields[11:13]))
    return total / TICKS


def rss_bytes(pids: list[int]) -> int:
    """Return the processes' resident memory, in bytes."""
    statm = (_read(Path(f"/proc/{pid}/statm")).split() for pid in pids)
    return sum(int(fields[1]) * PAGE_BYTES for fields in statm if fields)


def busy_seconds(core: int) -> float:
    """Return the total CPU time used on one core so far, in seconds."""
    for line in _read(Path("/proc/stat")).splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / TICKS
    return 0.0


def wait_until_quiet(seconds: float) -> None:
    """Wait at most *seconds* until the server's core is idle."""
    (core,) = cores()[0]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = busy_seconds(core)
        time.sleep(QUIET_SECONDS)
        if busy_seconds(core) - before < QUIET_SHARE * QUIET_SECONDS:
            return


def describe() -> dict[str, object]:
    """Return the facts about this machine that matter to readers."""
    info = _read(Path("/proc/cpuinfo")).splitlines()
    models = [line.partition(":")[2].strip() for line in info if "model name" in line]
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
