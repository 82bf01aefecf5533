"""Servers that a test may kill, and the figures it measures."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import FIGURES
from tests.faults.rig import Figures as Figures
from tests.faults.rig import Losses
from tests.faults.scene import OpenScene, two_workers
from tests.faults.sentinel import Guarded
from tests.faults.worker import Front, Nginx, Worker, provision
from tests.faults.worker import StartWorker as StartWorker
from tests.programs import PostgresServer, RedisServer, cannot_have

StartFront = Callable[..., Front]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Record figures of a fault: ``figures("Redis killed", losses=…, took="2 s")``.

    Figures other than ``again_after``, ``losses`` and ``sockets_lost`` go into the last
    column.
    """

    def note(
        fault: str,
        *,
        again_after: str = "–",
        losses: Losses | None = None,
        sockets_lost: object = 0,
        **others: object,
    ) -> None:
        told = [f"{name.replace('_', ' ')}: {value}" for name, value in others.items()]
        counts = (str(losses), str(losses.told)) if losses else ("–", "–")
        cells = again_after, *counts, str(sockets_lost), ", ".join(told)
        request.node.user_properties.append((FIGURES, (fault, *cells)))

    return note


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """Return a Redis and its replica under Sentinels, for this test alone."""
    with Guarded(tmp_path) as servers:
        yield servers


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL for this test alone."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker, ``start_worker(NAME=value)``; a test's share one database."""
    workers: list[Worker] = []
    provision(tmp_path)

    def start(**environ: str) -> Worker:
        if "DATABASE_URL" in environ and not workers:
            provision(tmp_path, **environ)
        workers.append(Worker(tmp_path, **environ))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def open_scene(start_worker: StartWorker, redis_server: RedisServer) -> OpenScene:
    """Start two workers on the test's Redis: ``open_scene(FAULT_LAYER="core")``."""
    return partial(two_workers, start_worker, REDIS_URL=redis_server.url)


@pytest.fixture
def start_front(tmp_path: Path) -> Iterator[StartFront]:
    """Start nginx, or another, before workers: ``start_front(worker, worker)``."""
    with ExitStack() as fronts:

        def start(*workers: Worker, kind: type[Front] = Nginx) -> Front:
            if not shutil.which(kind.binary, path=f"{os.environ['PATH']}:/usr/sbin"):
                cannot_have(kind.binary)
            return fronts.enter_context(kind(tmp_path, *workers))

        yield start
