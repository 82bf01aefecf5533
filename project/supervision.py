"""Start and end child processes.

For the cluster of the demo site, the tests and the benchmark.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Protocol

from project.ports import listens

PAUSE_SECONDS = 0.05


class Process(Protocol):
    """The methods of ``Popen`` that are used."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...


def has_started(process: Process, port: int, *, within: float) -> bool:
    """Wait until a process listens on a loopback port, or has ended.

    Args:
        process: the process, just started.
        port: the port that it is going to listen on.
        within: how long it may take, in seconds.
    """
    deadline = time.monotonic() + within
    while process.poll() is None and time.monotonic() < deadline:
        if listens(port):
            return True
        time.sleep(PAUSE_SECONDS)
    return False


def end(
    process: Process,
    *,
    within: float,
    with_signal: int = signal.SIGTERM,
    send: Callable[[int], None] | None = None,
) -> int:
    """Ask a process to end and return its exit code; kill it if it stays.

    Args:
        process: the process, which may have ended.
        within: how long it may take, in seconds.
        with_signal: how it is asked.
        send: sends a signal, if it is not only for the process.
    """
    send = send or process.send_signal
    if process.poll() is None:
        send(with_signal)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        send(signal.SIGKILL)
    return process.wait()
