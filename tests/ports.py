"""Ports for the servers of the tests.

A server binds its port a moment after the port was chosen. Meanwhile the kernel may
give any port of its range for clients to one of thousands of clients, and the other
processes of the tests choose ports, too. So each process has its own, below that range.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from secrets import randbelow

from project import ports

FIRST, PORTS_PER_PROCESS, PROCESSES = 10_000, 2_500, 9


def _own() -> Iterator[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    first = FIRST + PORTS_PER_PROCESS * (int(worker.removeprefix("gw")) % PROCESSES)
    # Another run of the tests on this machine starts elsewhere.
    at = randbelow(PORTS_PER_PROCESS)
    while True:
        yield first + at
        at = (at + 1) % PORTS_PER_PROCESS


_ports = _own()


def free_port() -> int:
    """Return a free TCP port on the loopback interface, a different one each time."""
    while True:
        with suppress(OSError):
            return ports.free_port(next(_ports))
