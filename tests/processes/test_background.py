"""Background loops in processes that end, or that are short of file descriptors."""

import subprocess
import sys

from tests.programs import ROOT

WAIT_SECONDS = 60

THREADS = """
import asyncio, atexit
from sync_streams.processes.background import BackgroundLoop
loop = BackgroundLoop("looks up names")
atexit.register(loop.stop)
loop.run(asyncio.to_thread(print, "from a thread"))
"""


DESCRIPTORS = """
import os, resource
from sync_streams.delivery.cluster.event_loop import Loops
from sync_streams.errors import ServiceUnavailable
loops, files = Loops(), resource.RLIMIT_NOFILE
soft, hard = resource.getrlimit(files)
lowest_free = os.dup(0)
os.close(lowest_free)
resource.setrlimit(files, (lowest_free, hard))
for _ in range(2):
    try:
        loops.get()
    except ServiceUnavailable as error:
        print(error.code, error.__cause__.strerror)
resource.setrlimit(files, (soft, hard))
print(loops.get().is_running())
loops.stop()
"""


def output_of(program: str) -> tuple[str, str]:
    """Run a program to its end; return what it writes to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        timeout=WAIT_SECONDS,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_a_loop_that_has_used_threads_ends_silently_with_its_process() -> None:
    assert output_of(THREADS) == ("from a thread\n", "")


def test_without_file_descriptors_nobody_waits_for_a_loop_that_cannot_start() -> None:
    output, log = output_of(DESCRIPTORS)

    assert output.splitlines() == 2 * ["20503 Too many open files"] + ["True"]
    assert "no event loop could be started" in log
