"""Node processes with an SDK loaded, reused by the next test if they are clean.

Starting Node and loading the SDK take longer than most tests.
"""

import asyncio
import atexit
import socket
import subprocess
from asyncio import StreamReader, StreamWriter
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
DRIVER = HERE / "sdk_driver.js"
MAX_LINE_BYTES = 1 << 20


class Node:
    """A process that has loaded one version of the SDK and takes commands."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._link, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        command = ["node", str(DRIVER), package, str(descriptor)]
        with theirs:
            self._process = subprocess.Popen(command, cwd=HERE, pass_fds=[descriptor])

    async def connect(self) -> tuple[StreamReader, StreamWriter]:
        """Return the driver's output and input as streams of the running loop."""
        link = self._link.dup()
        return await asyncio.open_connection(sock=link, limit=MAX_LINE_BYTES)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._link.close()
        self._process.kill()
        self._process.wait()


_clean: dict[str, list[Node]] = defaultdict(list)


def take(package: str) -> Node:
    """Return a clean process."""
    return _clean[package].pop() if _clean[package] else Node(package)


def give_back(node: Node) -> None:
    """Keep a clean process for the next test."""
    _clean[node.package].append(node)


@atexit.register
def _stop_all() -> None:
    for nodes in _clean.values():
        for node in nodes:
            node.stop()
