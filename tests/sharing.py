"""What the processes of one run share: files that one makes, and the tests' order."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

Make = Callable[[Path], object]

LONGEST = (
    *("tests/faults/", "tests/door/test_attacks.py", "tests/site/test_getting"),
    *("tests/test_project.py", "tests/compat/", "tests/browser/", "tests/js/"),
    *("tests/contract/test_servers.py", "tests/delivery/test_stalled.py"),
    *("tests/test_deployment.py", "tests/test_readme.py", "tests/test_package.py"),
    *("tests/test_soak.py", "tests/servers/", "tests/processes/", "tests/hosts/"),
    *("tests/sse/", "tests/door/", "tests/metrics/", "tests/commands/"),
    *("tests/redis/", "tests/site/", "tests/admin/", "tests/webhooks/"),
    "tests/host_api/",
)
"""Where the tests are that take longest, the longest first."""

BY_SERVER = ("tests/door/test_attacks.py", "tests/contract/test_servers.py")
"""Their tests need one server after the other: the first parameter."""

BY_TEST = (
    *("tests/faults/test_redis.py", "tests/faults/test_cut_off.py"),
    *("tests/hosts/test_hosts.py", "tests/servers/test_servers.py"),
    *("tests/site/test_getting_started.py", "tests/delivery/test_stalled.py"),
)
"""Their tests are long, and have nothing in common but what all processes share."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A process takes a file at a time, or a part of a long one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in BY_SERVER and "[" in nodeid:
            server = nodeid.partition("[")[2].rstrip("]").partition("-")[0]
            return f"{path}[{server}]"
        return nodeid if path in BY_TEST else path


def rank(item: pytest.Item) -> int:
    """Return a test's place: several processes begin with what takes longest."""
    ranks = (n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path))
    return next(ranks, len(LONGEST))


def once(factory: pytest.TempPathFactory, name: str, make: Make) -> Path:
    """Return a folder that the first of all processes makes that needs it.

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
            shutil.rmtree(folder, ignore_errors=True)  # left by one that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
