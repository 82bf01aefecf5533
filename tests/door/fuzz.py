"""``python -m tests.door.fuzz SECONDS``: each target of ``guided`` for its share.

Each runs in a process of its own, which a failing input ends.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = sys.executable, "-m", "tests.door.guided"
MAX_BYTES = 4096


def main(seconds: float) -> int:
    """Run the targets; return how many failed."""
    targets = subprocess.run(
        PROGRAM, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    share = max(1, round(seconds / len(targets)))
    return sum(not _holds(target, share) for target in targets)


def _holds(target: str, seconds: int) -> bool:
    """Run one target, and print what it says if it fails."""
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-verbosity=0"]
    with tempfile.TemporaryDirectory() as corpus:
        run = subprocess.run(
            [*PROGRAM, target, corpus, *options, "-print_final_stats=1"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    inputs = re.search(r"executed_units: (\d+)", run.stdout)
    if run.returncode or inputs is None:
        sys.stdout.write(run.stdout)
        return False
    sys.stdout.write(f"{target}: {inputs[1]} inputs\n")
    return True


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
