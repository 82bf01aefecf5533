"""A machine with systemd, with a folder as its file system."""

import re
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.programs import Program

SCRIPT = Path(__file__).with_name("machine.sh")
START_SECONDS = 60
PATHS = "/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """It runs until it is stopped; written data is then lost.

    Args:
        lower: the root of its file system, which stays as it is.
        folder: an empty one, for its own use.
    """

    def __init__(self, lower: Path, folder: Path) -> None:
        command = ["unshare", "--mount", "bash", str(SCRIPT), str(lower), str(folder)]
        self._program = Program(*command, ready="Its first process is")
        found = re.search(r"process is (\d+)", self._program.output)
        assert found, self._program.output
        self.pid = int(found[1])
        """Id of its first process, as seen from here."""
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def path(self, name: str) -> Path:
        """Return where a file of that machine is, as seen from here."""
        return Path(f"/proc/{self.pid}/root{name}")

    def enter(self, *, network: bool = True) -> list[str]:
        """Return the prefix of a command that runs it there, or only in its network."""
        rooms = ["--mount", "--pid", "--cgroup", "--uts", "--root", "--wd"]
        return ["nsenter", f"--target={self.pid}", *rooms, *(["--net"] * network)]

    def stop(self) -> None:
        """End it with all that runs there."""
        self._program.stop()

    def _wait(self) -> None:
        asking = [*self.enter(), "systemctl", "is-system-running", "--wait"]
        until, state = time.monotonic() + START_SECONDS, ""
        while state not in {"running", "degraded"}:
            assert time.monotonic() < until, f"systemd is {state}"
            time.sleep(0.1)
            asked = subprocess.run(asking, capture_output=True, text=True, check=False)
            state = asked.stdout.strip()


class Shell:
    """A root shell in which one block is pasted after the other.

    It ends at the first command that fails, which raises an ``AssertionError``.
    """

    def __init__(self, enter: list[str], **environ: str) -> None:
        self._process = subprocess.Popen(
            [*enter, "bash", "-e"],
            env={"PATH": PATHS, "HOME": "/root", "LC_ALL": "C.UTF-8", **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._pasted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def paste(self, block: str) -> str:
        """Paste a block; return what it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pasted += 1
        end = f"=== {self._pasted} ===\n"
        self._process.stdin.write(f"{block}\necho; echo '{end.rstrip()}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line == end:
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"{block}\nprints:\n{''.join(lines)}")
