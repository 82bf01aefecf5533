"""Servers to attack; prints the attacks' costs as the table of docs/security.md."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.door import table
from tests.door.attacks import ATTACKS, title
from tests.programs import PythonProgram, free_port
from tests.tables import put_tables

FIGURES = "figures of an attack"
"""Property of a test that holds a row of the table."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write it into the page."""
    rows = [
        row
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, row in getattr(report, "user_properties", ())
        if report.when == "call" and name == FIGURES
    ]
    if rows:
        terminalreporter.section("attacks")
        terminalreporter.write(table.render(rows))
        text = table.PAGE.read_text()
        table.PAGE.write_text(table.rewrite(text, rows, map(title, ATTACKS)))


SERVERS = {
    "uvicorn": (
        *("uvicorn", "--lifespan", "off", "--ws-per-message-deflate", "false"),
        *("--http", "sync_streams.uvicorn:BoundedHttpProtocol"),
        *("--ws", "sync_streams.uvicorn:FramePathProtocol", "--port"),
    ),
    "daphne": ("sync_streams.daphne", "-p"),
}


@dataclass(frozen=True)
class Served:
    """A test site and the process that serves it."""

    port: int
    pid: int


@pytest.fixture(scope="session")
def port(served: Served) -> int:
    """Port of a test site, served by each server class."""
    return served.port


@pytest.fixture(scope="session", params=SERVERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve a test site by each server class."""
    folder = tmp_path_factory.mktemp("door")
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.door.server_settings",
        "DATABASE_FILE": str(folder / "site.sqlite3"),
    }
    put_tables(folder / "site.sqlite3")
    number = free_port()
    command = [*SERVERS[request.param], str(number), "tests.asgi:application"]
    ready = "istening on TCP" if request.param == "daphne" else "running on"
    with PythonProgram("-m", *command, ready=ready, environ=environ) as site:
        yield Served(number, site.process.pid)
    _, _, fault = site.output.partition("Traceback")
    assert not fault, fault[:3000]
