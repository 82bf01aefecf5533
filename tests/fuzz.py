"""``python -m tests.fuzz SECONDS``: all property tests, with more examples.

Each run draws others. The suite has the same tests, with fewer examples.
"""

import os
import signal
import subprocess
import sys
import time

from tests.programs import ROOT

STOP_SECONDS = 30


def main(seconds: float) -> int:
    """Run them; return pytest's exit code, 0 if only the time was over."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    options = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={int(time.time())}"]
    tests = subprocess.Popen(
        [*command, *options, "--show-capture=no", "-m", "hypothesis"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        return tests.wait(seconds)
    except subprocess.TimeoutExpired:
        # Like Ctrl-C: pytest then stops its servers, and reports the number of tests.
        tests.send_signal(signal.SIGINT)
        tests.wait(STOP_SECONDS)
        return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
