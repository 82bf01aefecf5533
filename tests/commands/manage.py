"""``manage.py`` as a process, in the place of a demo site or on its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import IO

from tests.programs import ROOT, DemoSite, site_environ

WAIT_SECONDS = 30
MANAGE = [sys.executable, "manage.py"]


def environ_of(site: DemoSite, **changes: str) -> dict[str, str]:
    """Return the environment in which commands find the site's settings."""
    settings = {"DJANGO_SETTINGS_MODULE": "project.settings", **changes}
    return site_environ(site.data_dir, **settings)


def manage(
    *arguments: str, environ: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*MANAGE, *arguments],
        cwd=ROOT,
        env=dict(environ),
        input=text,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


class Running:
    """A command that goes on, and its lines as they come."""

    def __init__(self, *arguments: str, environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*MANAGE, *arguments],
            cwd=ROOT,
            env={**environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout: Queue[str] = Queue()
        self.stderr: Queue[str] = Queue()
        self._threads = [
            Thread(target=_read, args=pair, daemon=True)
            for pair in (
                (self.process.stdout, self.stdout),
                (self.process.stderr, self.stderr),
            )
        ]
        for thread in self._threads:
            thread.start()

    def line(self) -> str:
        """Return the next line of standard output."""
        return self.stdout.get(timeout=WAIT_SECONDS)

    def wait_until_told(self, what: str) -> None:
        """Wait for a line on the other one."""
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
    """Start a command; whatever is left of it in the end is killed."""
    command = Running(*arguments, environ=environ)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


def _read(stream: IO[str], lines: Queue[str]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
