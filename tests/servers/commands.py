"""The commands by which each server serves the demo site, and their processes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from project.supervision import end, has_started
from tests.clients.rest import publish
from tests.faults.worker import ACCOUNT, provision, worker_environ
from tests.programs import ROOT, free_port
from tests.zygote import Forked

BIN = Path(sys.executable).parent
APPLICATION = "project.asgi:application"
WAIT_SECONDS = 60

COMMANDS = {
    "uvicorn": f"uvicorn {APPLICATION} --port {{port}} --ws-ping-interval 0",
    "uvicorn with uvloop": f"uvicorn {APPLICATION} --port {{port}} --loop uvloop",
    "uvicorn with the frame path": f"uvicorn {APPLICATION} --port {{port}}"
    " --ws sync_streams.uvicorn:FramePathProtocol",
    "daphne": f"python -m sync_streams.daphne -p {{port}} {APPLICATION}",
    "gunicorn's uvicorn worker": f"gunicorn {APPLICATION} -b 127.0.0.1:{{port}}"
    " -k uvicorn_worker.UvicornWorker",
    "gunicorn's frame path": f"gunicorn {APPLICATION} -b 127.0.0.1:{{port}}"
    " -k tests.servers.worker.Worker",
    "gunicorn's asgi worker": f"gunicorn {APPLICATION} -b 127.0.0.1:{{port}} -k asgi",
    "hypercorn": f"hypercorn {APPLICATION} -b 127.0.0.1:{{port}}",
    "hypercorn in one process": f"hypercorn {APPLICATION} -b 127.0.0.1:{{port}} -w 0",
    "granian": f"granian --interface asgi --port {{port}} {APPLICATION}",
}
FORKED = {"uvicorn", "gunicorn"}
"""Others spawn processes, which need their usual environment."""


class Server:
    """One server, as a process."""

    account = ACCOUNT

    def __init__(self, name: str, folder: Path, *, drain_seconds: str = "1") -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        environ = worker_environ(
            folder, DRAIN_SECONDS=drain_seconds, PYTHONPATH=str(ROOT)
        )
        program, *arguments = COMMANDS[name].format(port=self.port).split()
        self._output = folder / "output.txt"
        with self._output.open("w") as output:
            self.process = _start(program, arguments, environ, output.fileno())
        if not has_started(self.process, self.port, within=WAIT_SECONDS):
            self.stop()
            raise AssertionError(self.output)

    @property
    def output(self) -> str:
        """Everything that it has printed."""
        return self._output.read_text()

    def end(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self.process.wait(WAIT_SECONDS)

    def publish(self, data: dict[str, Any]) -> str:
        """Publish to the Stream ``demo`` and return the Message's SID."""
        return publish(self, "demo", data)

    def terminate(self) -> None:
        """Send it SIGTERM, as systemd and containers do."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, if it has not ended."""
        end(self.process, within=WAIT_SECONDS)


def _start(
    program: str, arguments: list[str], environ: dict[str, str], output: int
) -> "subprocess.Popen[bytes] | Forked":
    if program == "python":
        return Forked(*arguments, environ=environ, stdout=output, stderr=output)
    command = [str(BIN / program), *arguments]
    if program in FORKED:
        return Forked(*command, environ=environ, stdout=output, stderr=output)
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=output, stderr=output
    )


@contextmanager
def serving(name: str, folder: Path, *, drain_seconds: str = "1") -> Iterator[Server]:
    """Serve the demo site, and kill what is left of it in the end."""
    provision(folder)
    server = Server(name, folder, drain_seconds=drain_seconds)
    try:
        yield server
    finally:
        server.stop()
