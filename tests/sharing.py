"""What the processes of one run share: files, and the order of the tests."""

import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

Make = Callable[[Path], object]

WAITING = (
    *("tests/door/test_attacks.py", "tests/faults/test_workers.py"),
    *("tests/metrics/test_alerts.py", "tests/faults/", "tests/metrics/test_monit"),
    *("tests/compat/twilio_sync/test_reconnect.py", "tests/compat/twilio_sync/"),
    *("tests/delivery/test_stalled.py", "tests/js/test_node.py", "tests/sse/"),
    *("tests/host_api/test_expiry.py", "tests/webhooks/", "tests/redis/"),
)
"""Tests that mostly wait, for a fault to last or to be noticed."""

WORKING = (
    *("tests/site/test_getting", "tests/test_deployment.py", "tests/browser/"),
    *("tests/walk/", "tests/test_containers.py", "tests/site/", "tests/js/"),
    *("tests/test_package.py", "tests/test_project.py", "tests/test_readme.py"),
    *("tests/rest/test_schemathesis.py", "tests/contract/test_servers.py"),
    *("tests/hosts/", "tests/servers/", "tests/processes/", "tests/test_cluster.py"),
    *("tests/commands/", "tests/compat/", "tests/admin/", "tests/door/"),
)
"""Tests that keep a core busy for seconds. In both lists the longest come first."""

BY_SERVER = ("tests/door/test_attacks.py", "tests/contract/test_servers.py")
"""Their tests need one server after the other: the first parameter."""

BY_TEST = (
    *("tests/faults/test_redis.py", "tests/faults/test_cut_off.py"),
    *("tests/hosts/test_hosts.py", "tests/servers/test_servers.py"),
    *("tests/site/test_getting_started.py", "tests/delivery/test_stalled.py"),
)
"""Their tests are long and share only what all processes share."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A process takes a file at a time, or a part of a long one.

    Every other process takes tests that wait first, the rest tests that need a core:
    otherwise all would wait at times, and all need a core at others.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        takes_waiting = self.nodes.index(node) % 2 == 0
        for scope in self.workqueue:
            if scope.startswith(WAITING) == takes_waiting:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in BY_SERVER and "[" in nodeid:
            server = nodeid.partition("[")[2].rstrip("]").partition("-")[0]
            return f"{path}[{server}]"
        return nodeid if path in BY_TEST else path


def rotated(folder: Path, worker: Mapping[str, Any]) -> list[str]:
    """Return the paths in a test folder, starting elsewhere for each worker."""
    paths = [*folder.glob("[a-z]*/"), *folder.glob("test_*.py")]
    names = sorted(map(str, paths))
    number, of = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    first = len(names) * number // of
    return names[first:] + names[:first]


def arranged(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the longest tests first, so that all processes end together."""
    return sorted(items, key=_rank)


def _rank(item: pytest.Item) -> int:
    paths = WAITING + WORKING
    ranks = (n for n, path in enumerate(paths) if item.nodeid.startswith(path))
    return next(ranks, len(paths))


def once(factory: pytest.TempPathFactory, name: str, make: Make) -> Path:
    """Return a folder that is created by the first process that needs it.

    Args:
        factory: pytest's.
        name: of the folder, one for each thing.
        make: fills the folder.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by a process that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
