"""``python -m project cluster``: two workers, nginx, Redis and PostgreSQL on loopback.

Plain processes, for trying things out and for the tests; Ctrl-C stops them all. They
use the configuration that ``docs/deployment.md`` describes for production.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from string import Template
from threading import Event

from project import banner, settings
from project.ports import free_port
from project.supervision import end, has_started

WORKERS = 2
START_SECONDS = 30
STOP_SECONDS = 20
HERE = Path(__file__).parent


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        OSError: the port is in use, or a program is missing or does not start.
    """
    port = free_port(int(settings.PORT))
    for name in ("redis-server", "nginx"):
        _program(name)
    folder = settings.DATA_DIR / "cluster"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as stack:
        environ = {
            **os.environ,
            "REDIS_URL": start_redis(stack),
            "DATABASE_URL": start_postgres(stack),
        }
        workers = [free_port() for _ in range(WORKERS)]
        provision = [sys.executable, "-m", "project", "provision"]
        if subprocess.run(provision, env=environ, check=False).returncode:
            raise OSError("the database was not prepared")
        for worker in workers:
            start(stack, worker_command(worker), worker, environ)
        start(stack, nginx_command(folder, port, workers), port)
        print("Workers:", *(f"127.0.0.1:{worker}" for worker in workers))
        print(_banner(port), flush=True)
        ended.wait()


def _banner(port: int) -> str:
    admin = f"admin, password {settings.CREDENTIALS['ADMIN_PASSWORD']}"
    origin = f"http://127.0.0.1:{port}"
    return banner.render(origin, admin=admin, credentials=settings.CREDENTIALS)


def worker_command(
    port: int, application: str = "project.asgi:application"
) -> list[str]:
    """Return the command of one worker that listens on a loopback port."""
    options = (
        f"--host 127.0.0.1 --port {port} --lifespan on --no-access-log"
        " --ws-max-size 262144 --ws-per-message-deflate false --backlog 4096"
        " --timeout-graceful-shutdown 15 --proxy-headers --log-level warning"
    )
    protocols = "--http {0}:BoundedHttpProtocol --ws {0}:FramePathProtocol"
    return [
        *(sys.executable, "-m", "uvicorn", application),
        *protocols.format("sync_streams.uvicorn").split(),
        *options.split(),
    ]


def nginx_command(folder: Path, port: int, workers: Iterable[int]) -> list[str]:
    """Write nginx's configuration into *folder* and return the command to run it."""
    servers = (f"server 127.0.0.1:{worker} max_fails=0;" for worker in workers)
    text = Template((HERE / "nginx.conf").read_text()).substitute(
        FOLDER=folder, PORT=port, SERVERS="\n        ".join(servers)
    )
    path = folder / "nginx.conf"
    path.write_text(text)
    return [_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(path)]


def start_redis(stack: ExitStack) -> str:
    """Start a Redis without persistence and return its URL."""
    port = free_port()
    options = f"--bind 127.0.0.1 --port {port} --appendonly no".split()
    start(stack, [_program("redis-server"), *options, "--save", ""], port)
    return f"redis://127.0.0.1:{port}/0"


def start_postgres(stack: ExitStack) -> str:
    """Start an empty PostgreSQL and return the URL of its database."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binaries = places[-1] if places else Path(_program("initdb")).parent
    port = free_port()
    # Not inside DATA_DIR, which the postgres user may not be allowed to enter.
    data = Path(tempfile.mkdtemp(prefix="sync-streams-cluster-"))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    prefix = _as_postgres(data)
    initdb = [f"{binaries}/initdb", "-U", "postgres", "-A", "trust", "-D", str(data)]
    made = subprocess.run(
        [*prefix, *initdb], cwd=data, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise OSError(f"PostgreSQL's {made.stderr.strip()}")
    options = ["-h", "127.0.0.1", "-p", str(port), "-c", "log_min_messages=fatal"]
    folders = ["-k", str(data), "-D", str(data)]
    start(stack, [*prefix, f"{binaries}/postgres", *options, *folders], port)
    return f"postgres://postgres@127.0.0.1:{port}/postgres"


def _as_postgres(folder: Path) -> list[str]:
    """Give *folder* to the postgres user, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError as error:
        raise OSError("as root, PostgreSQL needs a user called postgres") from error
    shutil.chown(folder, owner.pw_uid, owner.pw_gid)
    options = f"--reuid={owner.pw_uid} --regid={owner.pw_gid} --clear-groups"
    return ["setpriv", *options.split()]


def start(
    stack: ExitStack,
    command: list[str],
    port: int,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Start a program that *stack* stops; return its process id once it listens."""
    # A separate session: Ctrl-C reaches only this process, which stops them in order.
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
    )
    stack.callback(end, process, within=STOP_SECONDS)
    if not has_started(process, port, within=START_SECONDS):
        raise OSError(f"{command[0]} did not start")
    return process.pid


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise OSError(f"{name} is not installed")
    return path
