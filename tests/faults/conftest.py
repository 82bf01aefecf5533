"""Servers that a test may kill, and the figures of what became of it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Front, Worker
from tests.services import PostgresServer, RedisServer, cannot_have

Figures = Callable[..., None]
StartWorker = Callable[..., Worker]
StartFront = Callable[..., Front]

_figures: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured, for the table in docs/deployment.md."""
    if _figures:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(_figures))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Note figures of a fault: ``figures("Redis killed", lost=3, sockets_lost=0)``."""

    def note(fault: str, **values: object) -> None:
        cells = [f"{name.replace('_', ' ')} {value}" for name, value in values.items()]
        _figures.append(f"| {fault} | {' | '.join(cells)} |")

    return note


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Return a Redis of the test's own."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL of the test's own."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker, ``start_worker(NAME=value)``; a test's share one database."""
    workers: list[Worker] = []

    def start(**environ: str) -> Worker:
        # The first one makes the tables.
        workers.append(Worker(tmp_path, is_first=not workers, **environ))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def start_front(tmp_path: Path) -> Iterator[StartFront]:
    """Start nginx before workers, ``start_front(worker, worker)``."""
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        cannot_have("nginx")
    fronts: list[Front] = []

    def start(*workers: Worker) -> Front:
        fronts.append(Front(tmp_path, *workers))
        return fronts[-1]

    yield start
    for front in fronts:
        front.stop()
