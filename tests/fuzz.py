"""``python -m tests.fuzz SECONDS``: the property tests of input, with more examples.

Each run draws others. The suite has the same tests, with fewer examples.
"""

import os
import signal
import subprocess
import sys
import time

from tests.programs import ROOT

STOP_SECONDS = 30

TARGETS = [
    "tests/door/test_inputs.py",
    "tests/door/test_fuzz.py",
    "tests/core/test_tokens.py",
    "tests/delivery/test_frames.py",
    "tests/rest/test_pagination.py",
    "tests/rest/test_messages.py",
    "tests/rest/test_parsers.py",
    "tests/twilsock/test_frames.py",
    "tests/twilsock/test_tunnel.py",
    "tests/websocket/test_protocol.py",
    "tests/websocket/test_small_frames.py",
    "tests/contract/test_publish_path.py",
]
"""HTTP and frames, credentials, page tokens, the tunnel, events from Redis."""

PROPERTIES = "any or spoilt or events_from_redis"
"""Names of the tests with generated input."""


def main(seconds: float) -> int:
    """Run all targets; return pytest's exit code, 0 if only the time was over."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    options = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={int(time.time())}"]
    tests = subprocess.Popen(
        [*command, *options, "--show-capture=no", "-k", PROPERTIES, *TARGETS],
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
