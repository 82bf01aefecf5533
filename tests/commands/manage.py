"""``manage.py`` as a process, in the place of a demo site or on its own."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from subprocess import CompletedProcess
from threading import Thread

from tests import zygote
from tests.programs import DemoSite, demo_environ
from tests.zygote import Forked

WAIT_SECONDS = 30


def environ_of(site: DemoSite, **changes: str) -> dict[str, str]:
    """Return the environment in which commands find the site's settings."""
    return demo_environ(site.data_dir, **changes)


def manage(
    *arguments: str, environ: Mapping[str, str], text: str = ""
) -> CompletedProcess[str]:
    """Run a command to its end."""
    return zygote.run("manage.py", *arguments, environ=environ, text=text)


class Running:
    """A running command, and its lines as they arrive."""

    def __init__(self, *arguments: str, environ: Mapping[str, str]) -> None:
        self.stdout: Queue[str] = Queue()
        self.stderr: Queue[str] = Queue()
        pipes = os.pipe(), os.pipe()
        (out, stdout), (err, stderr) = pipes
        environ = {**environ, "PYTHONUNBUFFERED": "1"}
        self.process = Forked(
            *("manage.py", *arguments), environ=environ, stdout=stdout, stderr=stderr
        )
        self._threads = [
            Thread(target=_read, args=pair, daemon=True)
            for pair in ((out, self.stdout), (err, self.stderr))
        ]
        for thread in self._threads:
            thread.start()
        for _, writing in pipes:
            os.close(writing)

    def line(self) -> str:
        """Return the next line of standard output."""
        return self.stdout.get(timeout=WAIT_SECONDS)

    def wait_until_told(self, what: str) -> None:
        """Wait for a line on standard error."""
        while what not in self.stderr.get(timeout=WAIT_SECONDS):
            continue

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(WAIT_SECONDS)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        return code


@contextmanager
def running(*arguments: str, environ: Mapping[str, str]) -> Iterator[Running]:
    """Start a command, and kill it in the end if it is still running."""
    command = Running(*arguments, environ=environ)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


def _read(descriptor: int, lines: Queue[str]) -> None:
    with open(descriptor) as stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
