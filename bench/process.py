"""A server under test: a child process, pinned to cores, stopped by its pid."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from project.ports import free_port
from project.supervision import end, has_started

from . import machine

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
STOP_SECONDS = 5


class ServerFailed(Exception):
    """A server did not start or exited; the message ends with its last output."""


class Server:
    """One server process with its children, from start to stop."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        env: Mapping[str, str] | None = None,
        on: set[int] | None = None,
        folder: str = "",
    ) -> None:
        """Describe a server; entering starts it.

        Args:
            command: program and arguments.
            port: what it listens on, on the loopback interface.
            env: environment variables in addition to ours.
            on: cores to run on; by default the server's.
            folder: its own folder, removed at the end.
        """
        self.command = list(command)
        self.port = port
        self.env = dict(env or {})
        self.cores = machine.cores()[0] if on is None else on
        self.folder = folder
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)

    def __enter__(self) -> Self:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | self.env
        # Inherited: Go counts its cores before a caller could restrict them.
        with machine.running_on(self.cores):
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                start_new_session=True,
            )
        try:
            if not has_started(self.process, self.port, within=START_SECONDS):
                raise ServerFailed(f"{' '.join(self.command)}\n{self.printed()}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and its children, gracefully at first."""
        end(self.process, within=STOP_SECONDS, send=self._signal)
        self._signal(signal.SIGKILL)
        self.log.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pids(self) -> list[int]:
        """The server's processes."""
        return machine.family(self.process.pid)

    def printed(self) -> str:
        """Return the server's last output."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def _signal(self, number: int) -> None:
        # The children are in the same session, so they can be signalled as one group.
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


def run(command: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Run a program until it exits."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(env)
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def redis() -> Server:
    """Return a Redis without persistence, on the load generator's core."""
    port = free_port()
    options = ["--port", str(port), "--save", "", "--appendonly", "no"]
    command = ["redis-server", "--bind", "127.0.0.1", *options]
    return Server(command, port=port, on=machine.cores()[1])
