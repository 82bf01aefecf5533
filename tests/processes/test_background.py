"""Background loops, at the end of their process."""

import subprocess
import sys

from tests.programs import ROOT

WAIT_SECONDS = 60

PROGRAM = """
import asyncio, atexit
from sync_streams.processes.background import BackgroundLoop
loop = BackgroundLoop("looks up names")
atexit.register(loop.stop)
loop.run(asyncio.to_thread(print, "from a thread"))
"""


def test_a_loop_that_has_used_threads_ends_silently_with_its_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        timeout=WAIT_SECONDS,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("from a thread\n", "")
