"""Workers of the demo site under uvicorn, and nginx before them."""

import atexit
import json
import shutil
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from project.cluster import nginx_command, worker_command
from tests import zygote
from tests.clients.accounts import Account
from tests.documents import code_block
from tests.programs import (
    Program,
    PythonProgram,
    Stoppable,
    free_port,
    site_environ,
)

ACCOUNT = Account(
    sid="AC" + "c" * 32,
    auth_token="auth-token-of-the-cluster-under-fault",
    key_sid="SK" + "c" * 32,
    key_secret="api-key-secret-of-the-cluster-under-fault",
)


HAPROXY = """\
defaults
    mode http
    timeout client 120s
frontend site
    bind 127.0.0.1:{port}
    default_backend workers
"""
"""The configuration before the documented section."""


class Worker(Stoppable):
    """One process of the demo site under uvicorn; it restarts on the same port."""

    account = ACCOUNT

    def __init__(self, data_dir: Path, **environ: str) -> None:
        settings = {"DRAIN_SECONDS": 1, "PROBE_SECONDS": 0.5, "CACHE_SECONDS": 1}
        settings |= json.loads(environ.pop("FAULT_SETTINGS", "{}"))
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        environ["FAULT_SETTINGS"] = json.dumps(settings)
        self._files = environ.pop("FAULT_FILES", "")
        self.environ = worker_environ(data_dir, **environ)
        self.start()

    def start(self) -> None:
        """Start it."""
        command = worker_command(self.port, "tests.faults.asgi:application")
        command += ["--log-level", "info"]
        ready, environ = "Uvicorn running on", self.environ
        self.program: Program
        if self._files:
            few = f'ulimit -n {self._files}; exec "$0" "$@"'
            self.program = Program(
                "sh", "-c", few, *command, ready=ready, environ=environ
            )
        elif "LD_PRELOAD" in environ:
            self.program = Program(*command, ready=ready, environ=environ)
        else:
            self.program = PythonProgram(*command[1:], ready=ready, environ=environ)

    def stop(self, with_signal: int = 15) -> int:
        """End it and return its exit code."""
        return self.program.stop(with_signal)

    @property
    def removed(self) -> list[str]:
        """SIDs of the Streams whose removal this process announced."""
        lines = self.program.output.splitlines()
        return [line.split()[1] for line in lines if line.startswith("REMOVED ")]

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB."""
        assert self.program.process.poll() is None, self.program.output
        return round(self.program.memory_bytes / 1e6, 1)


StartWorker = Callable[..., Worker]


def worker_environ(data_dir: Path, **environ: str) -> dict[str, str]:
    """Return the environment of a worker that keeps its data in a folder."""
    environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
    return site_environ(data_dir, **ACCOUNT.environ, **environ)


def provision(data_dir: Path, **environ: str) -> None:
    """Make the tables, the Service and the Stream ``demo``."""
    if not environ:
        shutil.copytree(_provisioned(), data_dir, dirs_exist_ok=True)
        return
    _provision(data_dir, **environ)


@cache
def _provisioned() -> Path:
    """Return a folder with a worker's initial data, to be copied."""
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _provision(Path(folder))
    return Path(folder)


def _provision(data_dir: Path, **environ: str) -> None:
    environ = worker_environ(data_dir, **environ)
    zygote.run("-m", "project", "provision", environ=environ).check_returncode()


def run_django(worker: Worker, code: str, **environ: str) -> str:
    """Run a few lines against the worker's database and return what they print.

    Args:
        worker: whose environment they have.
        code: the lines.
        environ: what differs.
    """
    setup = "import django; django.setup()\n"
    setup += "from sync_streams.models import Service, Stream\n"
    done = zygote.run("-c", setup + code, environ={**worker.environ, **environ})
    done.check_returncode()
    return done.stdout.strip()


def create_streams(worker: Worker, count: int) -> list[str]:
    """Create Streams without names and return their SIDs."""
    code = (
        "service = Service.objects.get()\n"
        "new = [Stream(service=service, account_sid=service.account_sid)"
        f" for _ in range({count})]\n"
        "print(*(stream.sid for stream in Stream.objects.bulk_create(new)))"
    )
    return run_django(worker, code).split()


class Front(Stoppable):
    """A reverse proxy before workers."""

    binary: str

    def __init__(self, folder: Path, *workers: Worker) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self._program = self._start(folder, port, workers)

    def stop(self) -> None:
        """End it."""
        self._program.stop()

    @abstractmethod
    def _start(self, folder: Path, port: int, workers: Sequence[Worker]) -> Program:
        """Start it on a port."""


class Nginx(Front):
    """nginx, with the configuration that docs/deployment.md shows."""

    binary = "nginx"

    def _start(self, folder: Path, port: int, workers: Sequence[Worker]) -> Program:
        command = nginx_command(folder, port, [worker.port for worker in workers])
        command += ["-g", "error_log stderr notice;"]
        return Program(*command, ready="start worker process ")


class HAProxy(Front):
    """HAProxy before two workers, with the section that docs/deployment.md shows."""

    binary = "haproxy"

    def _start(self, folder: Path, port: int, workers: Sequence[Worker]) -> Program:
        backend = code_block("docs/deployment.md", "haproxy", "backend workers")
        for documented, worker in zip((8001, 8002), workers, strict=True):
            backend = backend.replace(f":{documented}\n", f":{worker.port}\n")
        path = folder / "haproxy.cfg"
        path.write_text(HAPROXY.format(port=port) + backend)
        command = self.binary, "-W", "-db", "-f", str(path)
        return Program(*command, ready="success")
