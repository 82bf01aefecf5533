"""``python -m bench.soak MINUTES``: churn in rounds, checking for leaks after each.

After each round all clients are gone, so anything a worker still holds is a leak. Exits
with 1 if memory rises or connections, tasks, topics, channels or keys remain.
"""

import asyncio
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.machine import describe

from .churn import Churn
from .cluster import Cluster
from .verdict import COUNTS, MAX_MB_AN_HOUR, Look, faults, rises

ROUNDS = 24
QUIET_SECONDS = 2
"""Time for the last client to disconnect and for Redis keys to expire."""

MIN_ROUND_SECONDS = 1


async def soak(minutes: float) -> list[str]:
    """Put load on a cluster for *minutes* and return what grew, in words."""
    seconds = max(MIN_ROUND_SECONDS, 60 * minutes / ROUNDS - QUIET_SECONDS)
    looks: list[Look] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = Cluster(stack, folder)
        churn = Churn(cluster.base_url)
        print("minute  visits       RSS MB", *COUNTS)
        for _ in range(ROUNDS):
            await churn.run(seconds)
            await asyncio.sleep(QUIET_SECONDS)
            looks.append(cluster.look(churn.visits))
            print(_row(looks[-1]), flush=True)
    print(f"\n{churn.errors} of {churn.visits} visits failed.")
    memory = ", ".join(f"{rise:+.1f}" for rise in rises(looks))
    print(f"MB an hour after the warm-up: {memory}; limit {MAX_MB_AN_HOUR}.")
    return faults(looks, churn.errors)


def _row(look: Look) -> str:
    memory = " ".join(f"{one:6.1f}" for one in look.rss_mb)
    counts = " ".join(f"{getattr(look, name):{len(name)}}" for name in COUNTS)
    return f"{look.hours * 60:6.1f} {look.visits:7}  {memory} {counts}"


def main(minutes: float) -> int:
    """Run the soak test and return the exit code."""
    # Handle it like Ctrl-C, so everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{minutes:g} minutes of churn over two workers behind nginx")
    print(
        *(f"{name} {value}" for name, value in describe().items()), sep=", ", end="\n\n"
    )
    found = asyncio.run(soak(minutes))
    print("FAILED: " + "; ".join(found) if found else "Nothing grew.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1] if sys.argv[1:] else 30)))
