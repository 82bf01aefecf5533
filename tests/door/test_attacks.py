"""Attacks on real servers, with a healthy client beside them.

``DOOR_SECONDS=4 pytest tests/door/test_attacks.py`` runs each alone for so long, and
writes the table of docs/security.md. Otherwise they are short and one client is beside
all of them.
"""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.door.attacks import ATTACKS, title
from tests.door.conftest import FIGURES
from tests.door.healthy import Figures, Healthy
from tests.faults.worker import ACCOUNT, provision
from tests.programs import ROOT, Program, free_port, site_environ

SECONDS = os.environ.get("DOOR_SECONDS", "0.4")
RUNS = [[name] for name in ATTACKS] if "DOOR_SECONDS" in os.environ else [list(ATTACKS)]
MAX_GROWTH_BYTES = 50_000_000
MAX_MORE_THREADS = 64


def serve_command() -> list[str]:
    """Return what ``make serve`` runs."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    line = next(line for line in text.splitlines() if "uvicorn project.asgi" in line)
    values = {"VENV": Path(sys.executable).parent.parent, "HOST": "127.0.0.1"}
    for name, value in {**values, "PORT": "{port}", "WORKERS": 1}.items():
        line = line.replace(f"$({name})", str(value))
    return shlex.split(line.partition("exec ")[2])


SERVERS = {
    "make serve": (serve_command(), "running on"),
    "make run": ([sys.executable, "-m", "project"], "Ctrl-C ends"),
}


@dataclass
class Site:
    """A server under attack."""

    name: str
    port: int
    pid: int

    def healthy(self) -> Healthy:
        login = ACCOUNT.login
        return Healthy(
            f"http://127.0.0.1:{self.port}", login=login, token=ACCOUNT.token("alice")
        )


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    command, ready = SERVERS[request.param]
    port = free_port()
    folder = tmp_path_factory.mktemp("door")
    environ = site_environ(folder, PORT=str(port), **ACCOUNT.environ)
    provision(folder)
    command = [part.format(port=port) for part in command]
    with Program(*command, ready=ready, environ=environ) as program:
        yield Site(request.param, port, program.process.pid)
    # Of Django's own, a future whose client has left may be logged.
    assert "Task exception was never retrieved" not in program.output


async def attack(names: list[str], site: Site) -> dict[str, Any]:
    """Run attacks in a process of their own and return their reports."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.door.attacks"),
        *(str(site.port), SECONDS, ACCOUNT.token("alice"), *names),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    output, _ = await program.communicate()
    assert program.returncode == 0
    reports: dict[str, Any] = json.loads(output)
    return reports


@pytest.mark.parametrize("names", RUNS, ids=lambda names: f"{names[0]}-{len(names)}")
async def test_attacks_take_nothing_from_a_healthy_client(
    names: list[str], site: Site, record_property: Any
) -> None:
    figures = await site.healthy().live_through(attack(names, site), site.pid)

    for name in names if len(names) == 1 else ():
        record_property(FIGURES, row(name, site.name, figures))
    assert figures.lost == set()
    assert figures.refused == []
    assert figures.growth_bytes < MAX_GROWTH_BYTES
    assert figures.more_threads <= MAX_MORE_THREADS
    assert set(figures.other) == set(names)
    still_open = {n for n, report in figures.other.items() if "open" in report["ends"]}
    assert still_open == set(), figures.other


def row(name: str, server: str, figures: Figures) -> list[str]:
    """Return a row of the table."""
    report = figures.other[name]
    ends = sorted(report["ends"].items())
    return [
        title(name),
        server,
        f"{report['inputs']:,}",
        f"{len(figures.received)} of {len(figures.accepted)}",
        f"{figures.percentile_ms(0.5)} / {figures.percentile_ms(0.99)} ms",
        f"+ {figures.growth_bytes / 1e6:.0f} MB",
        f"+ {max(0, figures.more_threads)}",
        ", ".join(f"{end}: {count:,}" for end, count in ends),
    ]
