"""Logs of a site with the documented settings."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from django.db import OperationalError

from project.cluster import worker_command
from sync_streams.cache import breaker
from sync_streams.logs import JSONFormatter, RequestIdFilter
from sync_streams.values import throttle
from tests.clock import ManualClock
from tests.documents import ROOT
from tests.faults.worker import ACCOUNT, provision, worker_environ
from tests.logs import lines_of
from tests.metrics.workers import WAIT_SECONDS
from tests.programs import Program, PythonProgram, free_port

SERVICES = "/v1/Services"
LINE = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ERROR django\.request "

Serve = Callable[[str], tuple[Program, str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve with a format: ``serve("json")``; a database without tables fails."""
    programs: list[Program] = []
    provision(tmp_path)

    def start(log_format: str) -> tuple[Program, str]:
        port = free_port()
        environ = worker_environ(tmp_path, LOG_FORMAT=log_format)
        environ["DJANGO_SETTINGS_MODULE"] = "tests.metrics.logged"
        command = [*worker_command(port), "--log-level", "info"]
        program = PythonProgram(*command[1:], ready="Uvicorn running", environ=environ)
        programs.append(program)
        return program, f"http://127.0.0.1:{port}"

    yield start
    for program in programs:
        program.stop()


def test_error_of_a_view_leaves_a_traceback_with_the_time(serve: Serve) -> None:
    program, origin = serve("line")

    answer = requests.get(f"{origin}/fail", timeout=WAIT_SECONDS)

    program.wait_for("RuntimeError: nobody foresaw this")
    assert answer.status_code == 500
    assert re.search(rf"{LINE}- Internal Server Error: /fail$", program.output, re.M)
    assert "Traceback (most recent call last)" in program.output


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_error_of_ours_is_logged_with_the_id_that_the_client_has(
    serve: Serve, tmp_path: Path, method: str
) -> None:
    program, origin = serve("json")
    (tmp_path / "db.sqlite3").write_bytes(b"this is no database" * 1000)
    path = SERVICES if method == "GET" else f"{SERVICES}/default/Streams/x/Messages"

    answer = requests.request(
        method,
        origin + path,
        auth=ACCOUNT.login,
        data={"Data": "{}"},
        timeout=WAIT_SECONDS,
    )

    sid = answer.headers["Twilio-Request-Id"]
    assert answer.status_code >= 500
    program.wait_for(sid)
    lines = [json.loads(line) for line in program.output.splitlines() if sid in line]
    assert {line["request_id"] for line in lines} == {sid}
    assert {line["logger"] for line in lines} == {"django.request"}
    assert {line["status"] for line in lines} == {answer.status_code}
    assert all(line["time"].endswith("Z") for line in lines)


def test_record_without_a_request_is_one_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a.b", 30, "", 1, "ünï %s", ("x\ny",), caught)

    line = JSONFormatter().format(record)

    assert "\n" not in line
    fields = json.loads(line)
    assert fields["message"] == "ünï x\ny"
    assert "two\nlines" in fields["traceback"]
    assert "request_id" not in fields
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"  # type: ignore[attr-defined]


def test_database_that_fails_is_logged_once_and_once_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "AWAY_SECONDS", 0)
    tried = breaker.Breaker()

    def fail() -> str:
        raise OperationalError("connection refused")

    for _ in range(3):
        assert tried.call(fail, "kept") == "kept"
    for _ in range(2):
        assert tried.call(lambda: "found", "kept") == "found"

    words = lines_of("sync_streams", caplog)
    assert words[0] == "database failed: OperationalError('connection refused')"
    assert re.fullmatch(r"database responds again after \d+\.\d s", words[1])
    assert len(words) == 2


def test_slow_database_is_logged_once_in_ten_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(0)
    monkeypatch.setattr(throttle, "monotonic", clock)
    tried = breaker.Breaker()
    for seconds in (0, 1, breaker.REMIND_SECONDS - 0.1):
        clock.now = seconds
        tried.note_slow(2)
        assert tried.call(lambda: "found", None) == "found"
    clock.now = breaker.REMIND_SECONDS
    tried.note_slow(2)

    slow = "database failed: no answer within 2 s"
    words = lines_of("sync_streams", caplog)
    assert [words[0], words[2]] == [slow, slow]
    assert words[1].startswith("database responds again")
    assert len(words) == 3


def test_every_logger_is_listed() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    listed = set(re.findall(r"^\| `(sync_streams[\w.]*)` \|", page, re.MULTILINE))
    ours = set()
    for path in (ROOT / "sync_streams").rglob("*.py"):
        text = path.read_text()
        ours |= set(re.findall(r'logging.getLogger\("(sync_streams[\w.]*)"\)', text))
        if "logging.getLogger(__name__)" in text:
            ours.add(".".join(path.relative_to(ROOT).with_suffix("").parts))

    def covers(name: str, logger: str) -> bool:
        return f"{logger}.".startswith(f"{name}.")

    assert [one for one in ours if not any(covers(name, one) for name in listed)] == []
    assert [name for name in listed if not any(covers(name, one) for one in ours)] == []
