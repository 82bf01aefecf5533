"""What a scrape of ``/metrics`` costs while thousands of sockets are open.

``python -m bench.scrape [CONNECTIONS]``: a worker, and clients in another process over
loopback, each subscribed. The cost is the processor time of the worker's main thread,
which is the one that its event loop runs in, less what it uses in the same time without
a scrape.
"""

import statistics
import sys
import time
import urllib.request
from pathlib import Path

from . import machine
from .contenders import CONTENDERS
from .generator import Generator, Load

CONNECTIONS = 5000
SCRAPES = 50
PAUSE_SECONDS = 0.1
WAIT_SECONDS = 30


def main() -> None:
    """Print the cost of a scrape without and with connections."""
    connections = int(sys.argv[1]) if sys.argv[1:] else CONNECTIONS
    machine.raise_descriptor_limit()
    [contender] = [one for one in CONTENDERS if one.name == "product-frames"]
    dialect = contender.dialect(1, 200)
    for size in (1, connections):
        with (
            contender.start() as server,
            Generator(dialect, Load(subscribers=size), port=server.port),
        ):
            time.sleep(1)  # work left over from opening them
            costs = [_cost(server.process.pid, server.port) for _ in range(SCRAPES)]
        costs.sort()
        print(
            f"{size:6} sockets: {statistics.median(costs):.2f} ms of the event loop "
            f"(median of {SCRAPES}; most: {costs[-1]:.2f} ms)"
        )


def _cost(pid: int, port: int) -> float:
    """Return the milliseconds of the main thread that one scrape takes."""
    before = _main_thread_ms(pid)
    time.sleep(PAUSE_SECONDS)
    idle = _main_thread_ms(pid)
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS
    ) as answer:
        answer.read()
    time.sleep(PAUSE_SECONDS)
    return (_main_thread_ms(pid) - idle) - (idle - before)


def _main_thread_ms(pid: int) -> float:
    """Return the time that a process's main thread has run, in milliseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


if __name__ == "__main__":
    main()
