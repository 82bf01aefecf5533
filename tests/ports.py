"""Ports for the servers of the tests.

A server binds its port a moment after the port was chosen, and a killed one gets it
back when it is started again. Meanwhile nobody else may have it: a proxy would send the
clients of the killed server there. The kernel gives any port of its range for clients
to one of thousands of clients, and other processes of the tests, also those of another
run on this machine, choose ports, too. So each process has its own, below that range.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from secrets import SystemRandom

from project import ports

FIRST, END, PORTS_PER_PROCESS = 10_000, 32_500, 500


def _own() -> Iterator[int]:
    with _reserved() as holder:
        first = int(holder.getsockname()[1]) + 1
        yield from cycle(range(first, first + PORTS_PER_PROCESS - 1))


def _reserved() -> socket.socket:
    """Return a socket on the first of a process's ports, which reserves the others."""
    firsts = range(FIRST, END, PORTS_PER_PROCESS)
    for first in SystemRandom().sample(firsts, len(firsts)):
        with suppress(OSError):
            return socket.create_server(("127.0.0.1", first))
    raise OSError("all ports of the tests are taken")


_ports = _own()


def free_port() -> int:
    """Return a free TCP port on the loopback interface, a different one each time."""
    while True:
        with suppress(OSError):
            return ports.free_port(next(_ports))
