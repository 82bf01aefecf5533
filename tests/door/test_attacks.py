"""Attacks on real servers, with a healthy client beside each of them.

``pytest tests/door/test_attacks.py`` prints the table of docs/security.md;
``DOOR_SECONDS`` says how long each attack lasts.
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

from tests.door.attacks import ATTACKS
from tests.door.conftest import FIGURES
from tests.door.healthy import Figures, Healthy
from tests.faults.worker import ACCOUNT, provision
from tests.programs import ROOT, Program, free_port, site_environ

SECONDS = os.environ.get("DOOR_SECONDS", "1")
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


async def attack(name: str, site: Site) -> dict[str, Any]:
    """Run an attack in a process of its own and return its report."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.door.attacks", name),
        *(str(site.port), SECONDS, ACCOUNT.token("alice")),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    output, _ = await program.communicate()
    assert program.returncode == 0
    report: dict[str, Any] = json.loads(output)
    return report


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_takes_nothing_from_a_healthy_client(
    name: str, site: Site, record_property: Any
) -> None:
    figures = await site.healthy().live_through(attack(name, site), site.pid)

    record_property(FIGURES, row(name, site.name, figures))
    assert figures.lost == set()
    assert figures.refused == []
    assert figures.growth_bytes < MAX_GROWTH_BYTES
    assert figures.more_threads <= MAX_MORE_THREADS
    assert "open" not in figures.other["ends"], figures.other


def row(name: str, server: str, figures: Figures) -> list[str]:
    """Return a row of the table."""
    ends = sorted(figures.other["ends"].items())
    return [
        (ATTACKS[name].__doc__ or "").rstrip("."),
        server,
        f"{figures.other['inputs']:,}",
        f"{len(figures.heard)} of {len(figures.accepted)}",
        f"{figures.percentile_ms(0.5)} / {figures.percentile_ms(0.99)} ms",
        f"+ {figures.growth_bytes / 1e6:.0f} MB",
        f"+ {max(0, figures.more_threads)}",
        ", ".join(f"{end}: {count:,}" for end, count in ends),
    ]
