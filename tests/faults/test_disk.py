"""The disk that holds a worker's SQLite and its log is full."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Figures, StartWorker
from tests.faults.health import ask
from tests.faults.rig import Publisher, Subscriber, account_for, create_until
from tests.faults.worker import Worker, provision
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

SIZE = "3m"
BOUND_SECONDS = 30
MESSAGES = 12


class SmallDisk:
    """A file system of its own or, without the right to mount one, a size limit.

    The limit refuses a worker each write to a file, with EFBIG instead of ENOSPC.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        mount = "mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)
        is_root = os.geteuid() == 0
        self.is_mounted = is_root and not subprocess.run(mount, check=False).returncode
        self._filler = folder / "filler"

    def fill(self, worker: Worker) -> None:
        """Fill all remaining space."""
        if not self.is_mounted:
            self._limit(worker, 0)
            return
        with self._filler.open("wb", buffering=0) as file:
            for size in (65_536, 1):
                try:
                    while file.write(bytes(size)):
                        continue
                except OSError:
                    continue

    def free(self, worker: Worker) -> None:
        """Free the space."""
        if self.is_mounted:
            self._filler.unlink()
        else:
            self._limit(worker, resource.RLIM_INFINITY)

    def remove(self) -> None:
        """Unmount it."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _limit(self, worker: Worker, size: int) -> None:
        pid, never = worker.program.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, never))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.remove()


@pytest.fixture
def worker(
    disk: SmallDisk,
    redis_server: RedisServer,
    start_worker: StartWorker,
) -> Worker:
    provision(disk.folder)
    folder, log = str(disk.folder), str(disk.folder / "log")
    return start_worker(REDIS_URL=redis_server.url, DATA_DIR=folder, FAULT_LOG=log)


async def test_a_full_disk_stops_no_publisher_and_is_reported(
    disk: SmallDisk, worker: Worker, figures: Figures
) -> None:
    url = worker.base_url
    async with Subscriber(url, "demo") as known, Publisher(url, "demo") as publisher:
        await publisher.publish()
        await asyncio.to_thread(disk.fill, worker)
        refused = await create_until(worker.base_url, 503)
        status, told = await ask(worker, "/readyz")
        for _ in range(MESSAGES):
            await publisher.publish()
        await asyncio.to_thread(disk.free, worker)
        await create_until(worker.base_url, 201)
        losses = await account_for(publisher, known)

    assert set(refused) == {"code", "message", "more_info", "status"}
    assert (refused["status"], refused["code"]) == (503, 20503)
    # Without a connection that is open, SQLite needs room to read, too.
    assert status == (200 if told["database"] else 503)
    missing = {part for part, holds in told.items() if not holds}
    assert missing in (
        {"database"},
        {"database_writes"},
        {"database", "database_writes"},
    )
    assert await ask(worker, "/readyz") == (200, dict.fromkeys(told, True))
    assert len(publisher.accepted) == len(publisher.attempts)
    assert known.lost == 0
    assert "No space left" in worker.program.output or not disk.is_mounted
    figures(
        "SQLite and the log on a full disk",
        again_after="no pause",
        losses=losses,
        sockets_lost=known.lost,
        creates="503/20503",
        readyz=f"{status}, {' and '.join(sorted(missing))} false",
    )
