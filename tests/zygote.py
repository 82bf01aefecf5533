"""Python programs that start quickly: forked from one that has loaded the libraries.

Half of what a site's start takes is the import of Django, aiohttp, Twisted and others.
A *zygote* has done that once for each process of pytest. A forked program reads its
settings, loads the project and the app, and ends, as if it had been started anew.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

from django.conf import settings
from django.db import connections

ROOT = Path(__file__).resolve().parent.parent
NUMBER = struct.Struct("i")
MAX_ORDER_BYTES = 1 << 18
END_SECONDS = 10
_codes: list[int] = []

# Nothing that reads Django's settings, starts a thread or chooses an event loop.
LIBRARIES = (
    *("aiodns", "aiohttp", "autobahn.wamp.websocket", "autobahn.websocket.protocol"),
    *("autobahn.twisted.util", "opentelemetry.trace.propagation.tracecontext"),
    *("channels.layers", "channels.routing", "channels_redis.core", "click"),
    *("channels_redis.pubsub", "dj_database_url", "docutils.core", "httptools", "jwt"),
    *("cryptography.hazmat.primitives.asymmetric.rsa", "docutils.parsers.rst.states"),
    *("django.contrib.admin.options", "django.contrib.postgres.fields"),
    *("django.contrib.postgres.forms", "django.contrib.staticfiles.storage"),
    *("django.core.handlers.asgi", "django.core.management.commands.migrate"),
    *("django.db.backends.postgresql.base", "django.db.backends.sqlite3.base"),
    *("django.test.client", "inflection", "markdown", "opentelemetry.sdk.trace"),
    *(
        "prometheus_client",
        "psycopg_pool",
        "pygments.formatters.html",
        "pygments.lexers.special",
        "pygments.styles.default",
    ),
    *("redis.asyncio", "requests", "segno", "service_identity"),
    *("twisted.application.service", "twisted.internet.asyncioreactor"),
    *("twisted.internet.endpoints", "twisted.internet.udp", "twisted.internet.unix"),
    *("twisted.internet.ssl", "twisted.web.http", "txaio.tx", "uritemplate"),
    *("uvicorn.main", "uvloop", "websockets.legacy.server", "whitenoise.middleware"),
    *("wsproto", "yaml"),
)


class Forked:
    """A running program of Python, with the methods of a ``Popen``."""

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
    ) -> None:
        """Start ``python`` with arguments that begin with ``-m``, ``-c`` or a file.

        The streams are file descriptors, which stay the caller's to close.
        """
        self.args = (sys.executable, *arguments)
        self.returncode: int | None = None
        self._status, told = os.pipe()
        order = json.dumps([arguments, dict(environ)]).encode()
        with open(os.devnull) as nothing:  # noqa: PTH123 - its descriptor is wanted
            given = nothing.fileno() if stdin is None else stdin
            socket.send_fds(_zygote(), [order], [given, stdout, stderr, told])
        os.close(told)
        self.pid = self._read_number()

    def poll(self) -> int | None:
        """Return the exit code, or None while the program runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code: negative, if it was a signal."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._read_number()
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the program still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read_number(self) -> int:
        [number] = NUMBER.unpack(os.read(self._status, NUMBER.size))
        return int(number)


def run(
    *arguments: str, environ: Mapping[str, str], text: str = "", seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program of Python to its end, as ``subprocess.run`` would."""
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile("w+")) for _ in range(3)]
        files[0].write(text)
        files[0].seek(0)
        stdin, stdout, stderr = (file.fileno() for file in files)
        process = Forked(
            *arguments, environ=environ, stdout=stdout, stderr=stderr, stdin=stdin
        )
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        for file in files:
            file.seek(0)
        _, printed, told = (file.read() for file in files)
        return subprocess.CompletedProcess(process.args, code, printed, told)


@cache
def _zygote() -> socket.socket:
    """Start it and return the socket for its commands; it ends with that."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", str(there.fileno())],
            cwd=ROOT,
            pass_fds=[there.fileno()],
        )
    atexit.register(process.wait)
    atexit.register(here.close)
    return here


def _await_command(link: socket.socket) -> list[str]:
    """Serve until the link is closed; return the arguments in each forked program."""
    while True:
        order, streams, *_ = socket.recv_fds(link, MAX_ORDER_BYTES, 4)
        if not order:
            raise SystemExit
        if os.fork() == 0:
            link.close()
            _keep(streams)
            return _prepare(*json.loads(order))
        for stream in streams:
            os.close(stream)


def _keep(streams: list[int]) -> None:
    """Fork the program and report its end; return only in the program."""
    *own, told = streams
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        for number, stream in enumerate(own):
            os.dup2(stream, number)
            os.close(stream)
        return
    for stream in (0, 1, 2, *own):
        os.close(stream)
    os.write(told, NUMBER.pack(pid))
    _wait(pid, told)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(told, NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _wait(pid: int, told: int) -> None:
    """Wait for a program's end, and end it if its caller is gone."""
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(told, 0)  # an error, once pytest has gone without stopping it
    if ended not in dict(poll.poll()):
        poll.unregister(told)
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        if not poll.poll(END_SECONDS * 1000):
            signal.pidfd_send_signal(ended, signal.SIGKILL)


def _prepare(arguments: list[str], environ: dict[str, str]) -> list[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environ)
    encoding = environ.get("PYTHONIOENCODING")
    lines = 1 if "PYTHONUNBUFFERED" in environ else -1
    # As the interpreter makes them at its start.
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", lines, encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding, "backslashreplace", closefd=False)  # noqa: SIM115
    return arguments


def _run(kind: str, *arguments: str) -> None:
    """Do what ``python`` does with its arguments."""
    if kind == "-m":
        sys.argv[:] = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv[:] = [kind, *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})
    else:
        sys.argv[:] = [kind, *arguments]
        runpy.run_path(kind, run_name="__main__")


def _run_to_its_end(*arguments: str) -> None:
    """Run a program, and record its exit code for :func:`_leave`."""
    try:
        _run(*arguments)
    except SystemExit as end:
        code = end.code
        _codes.append(code if isinstance(code, int) else int(code is not None))
        raise
    except Exception:
        _codes.append(1)
        raise
    _codes.append(0)


def _leave() -> None:
    """End a program once its exit handlers have run.

    The interpreter would free all that the zygote has loaded, and thus copy it first.
    """
    if not _codes:
        return
    if settings.configured:
        connections.close_all()  # SQLite then puts its files in order
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # which the interpreter has to report
    os._exit(_codes[0] & 0xFF)


if __name__ == "__main__":
    atexit.register(_leave)  # the first of all, so that it is called last
    for library in LIBRARIES:
        with suppress(ImportError):  # some are not installed with every Django
            import_module(library)
    gc.freeze()  # so that no collection copies their pages
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _run_to_its_end(*_await_command(socket.socket(fileno=int(sys.argv[1]))))
