"""Logs that are not read stop nothing else."""

import logging
import logging.config
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import requests

from project.cluster import worker_command
from sync_streams import logs
from sync_streams.logs import BackgroundHandler
from tests.documents import ROOT
from tests.faults.worker import ACCOUNT, provision, worker_environ
from tests.metrics.workers import WAIT_SECONDS
from tests.programs import free_port
from tests.zygote import Forked

CAPACITY = 5
ERRORS = 60
"""Each leaves a traceback of some kilobytes; a pipe takes 64 KiB."""


class Sink(logging.Handler):
    """A sink that blocks until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.begun, self.may_write = Event(), Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.begun.set()
        assert self.may_write.wait(WAIT_SECONDS)
        self.lines.append(record.getMessage())


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    sink = Sink()
    monkeypatch.setattr(logs, "_standard_error", lambda: sink)
    return sink


@contextmanager
def logging_to(handler: BackgroundHandler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.background")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_lines_beyond_the_bound_are_dropped_and_counted(sink: Sink) -> None:
    handler = BackgroundHandler(CAPACITY)
    with logging_to(handler) as logger:
        logger.error("written %d", 0)
        assert sink.begun.wait(WAIT_SECONDS)  # it accepts the first, and blocks
        for number in range(1, 3 * CAPACITY + 1):
            logger.error("written %d", number)
        dropped = handler.dropped
        sink.may_write.set()
    kept = [f"written {number}" for number in range(CAPACITY + 1)]

    told = [line for line in sink.lines if "dropped" in line]
    assert dropped == 2 * CAPACITY
    assert [line for line in sink.lines if line not in told] == kept
    assert told == [
        f"{dropped} log lines were dropped, since they were not taken in time"
    ]


def test_lines_are_formatted_and_filtered(sink: Sink) -> None:
    sink.may_write.set()
    handler = BackgroundHandler()
    handler.addFilter(logs.RequestIdFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(request_id)s %(message)s"))
    with logging_to(handler) as logger:
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("%s", "what")

    (line,) = sink.lines
    assert line.startswith("ERROR - what\nTraceback")
    assert line.endswith("ValueError: why")


def test_settings_configure_it_with_every_python(sink: Sink) -> None:
    sink.may_write.set()
    made = {"class": "sync_streams.logs.BackgroundHandler", "capacity": CAPACITY}
    only = {"handlers": ["console"], "propagate": False}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"console": made},
            "loggers": {"tests.background": only},
        }
    )
    logger = logging.getLogger("tests.background")
    [handler] = logger.handlers
    logger.error("written")
    logger.removeHandler(handler)
    handler.close()

    assert sink.lines == ["written"]


FORKING = """
import logging, os
from sync_streams.logs import BackgroundHandler
logger = logging.getLogger()
logger.addHandler(BackgroundHandler())
logger.error("the parent's")
if os.fork() == 0:
    logger.error("the child's")
else:
    os.wait()
"""


def test_a_forked_child_writes_its_own_lines_to_the_end() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert sorted(done.stderr.splitlines()) == ["the child's", "the parent's"]


def ask(origin: str, path: str, method: str = "GET", **data: str) -> int:
    answer = requests.request(
        method, origin + path, auth=ACCOUNT.login, data=data, timeout=WAIT_SECONDS
    )
    return answer.status_code


def wait_for(origin: str) -> None:
    for _ in range(WAIT_SECONDS * 20):
        try:
            assert ask(origin, "/v1/Services") == 200
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it does not listen")


def test_a_pipe_that_nobody_reads_does_not_stop_publishing(tmp_path: Path) -> None:
    provision(tmp_path)
    environ = worker_environ(tmp_path, LOG_FORMAT="line")
    environ["DJANGO_SETTINGS_MODULE"] = "tests.metrics.logged"
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    unread, full = os.pipe()
    command = worker_command(port)[1:]
    server = Forked(*command, environ=environ, stdout=full, stderr=full)
    os.close(full)
    try:
        wait_for(origin)
        failed = [ask(origin, "/fail") for _ in range(ERRORS)]
        os.set_blocking(unread, False)
        messages = "/v1/Services/default/Streams/demo/Messages"
        published = ask(origin, messages, "POST", Data="{}")
    finally:
        server.send_signal(signal.SIGTERM)
        ended = server.wait(WAIT_SECONDS * 2)
        os.close(unread)

    assert failed == [500] * ERRORS
    assert published == 201
    assert ended in {0, -15}
