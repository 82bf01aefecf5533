"""Two workers behind nginx, started by one command and stopped by Ctrl-C."""

import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests

from bench.machine import family
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import WAIT_SECONDS, publish
from tests.programs import DemoSite, cannot_have
from tests.test_project import run_project

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


@pytest.fixture
def programs() -> None:
    for program in ("redis-server", "nginx"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            cannot_have(program)


@pytest.fixture
def cluster(programs: None, tmp_path: Path) -> Iterator[DemoSite]:
    # PostgreSQL's user may not enter pytest's folders.
    with TemporaryDirectory(prefix="with a space ") as folder:
        Path(folder).chmod(0o711)
        data = tmp_path / "with a space"
        with DemoSite(data, step="cluster", TMPDIR=folder) as site:
            yield site


def workers_of(cluster: DemoSite) -> list[DemoSite]:
    """Return the site as each worker serves it, past nginx."""
    (line,) = [one for one in cluster.output.splitlines() if "Workers:" in one]
    sites = [copy.copy(cluster) for _ in range(2)]
    for site, address in zip(sites, line.split()[1:], strict=True):
        site.base_url = f"http://{address}"
    return sites


def opened(site: DemoSite) -> requests.Response:
    return requests.get(site.base_url, timeout=WAIT_SECONDS)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_two_workers_are_one_site_until_ctrl_c(cluster: DemoSite) -> None:
    started = family(cluster.program.process.pid)

    page = opened(cluster)
    first, second = workers_of(cluster)
    async with SiteSocket(first) as one, SiteSocket(second) as other:
        await one.ask("subscribe", stream="demo")
        await other.ask("subscribe", stream="demo")
        for number, site in enumerate((first, second, cluster)):
            publish(site, "demo", {"n": number})
        heard = [
            {(await socket.receive())["message"]["data"]["n"] for _ in range(3)}
            for socket in (one, other)
        ]

    assert page.status_code == 200
    assert heard == [{0, 1, 2}] * 2
    assert cluster.stop() == 0
    assert len(started) > 5  # itself, Redis, PostgreSQL, two workers, nginx
    assert not any(map(lives, started))


def test_missing_program_is_one_clear_line(tmp_path: Path) -> None:
    result = run_project("cluster", DATA_DIR=str(tmp_path), PORT="0", PATH="/nowhere")

    assert result.returncode == 1
    assert result.stderr == "Cannot start: redis-server is not installed\n"


@pytest.mark.usefixtures("programs")
def test_initdb_that_fails_is_one_clear_line(tmp_path: Path) -> None:
    result = run_project("cluster", DATA_DIR=str(tmp_path), PORT="0", LC_ALL="nowhere")

    assert result.returncode == 1
    assert result.stderr.startswith("Cannot start: PostgreSQL's initdb: error: ")
    assert "Traceback" not in result.stderr
