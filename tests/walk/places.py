"""Machines to walk on: an empty Debian, or a copy of this machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT
from tests.walk.machine import Machine, Shell
from tests.walk.page import FOLDER, packages

WHEELS = "/opt/wheels"
NETWORK_FILES = (
    "/etc/resolv.conf",
    "/etc/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
)
OWN_CLUSTER = """\
rm -rf /etc/postgresql/*/main /var/lib/postgresql/*/main
pg_createcluster $(ls /usr/lib/postgresql | tail -n 1) main
systemctl daemon-reload
systemctl start redis-server nginx postgresql
"""


@dataclass
class Place:
    """A machine with the packages, a folder for the project, and its ``.venv``."""

    machine: Machine
    pip: Callable[[str], str] | None = None
    """Pastes what needs a network; without it, the packages are there already."""


@contextmanager
def here(folder: Path) -> Iterator[Place]:
    """Copy this machine; its Python packages stand for those that pip would install."""
    with Machine(Path("/"), folder / "machine") as machine:
        for path in (ROOT, Path(sys.executable).resolve()):
            for parent in path.parents:
                _open(machine.path(str(parent)))
        machine.path(FOLDER).mkdir(parents=True)
        machine.path(f"{FOLDER}/.venv").symlink_to(Path(sys.prefix))
        with Shell(machine.enter()) as shell:
            shell.paste(f"systemctl set-environment PYTHONPATH={ROOT}\n{OWN_CLUSTER}")
        yield Place(machine)


@contextmanager
def debian(folder: Path) -> Iterator[Place]:
    """Install an empty Debian, and there the packages that the page names."""
    lower = folder / "debian"
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=systemd", *_release(lower)],
        check=True,
    )
    subprocess.run(["cp", "-r", "/etc/apt", str(lower / "etc")], check=True)
    for name in NETWORK_FILES:
        if Path(name).exists():
            (lower / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            (lower / name[1:]).write_bytes(Path(name).read_bytes())
    wheel = _wheel(lower / WHEELS[1:])
    with Machine(lower, folder / "machine") as machine:
        enter = machine.enter(network=False)
        with Shell(enter, DEBIAN_FRONTEND="noninteractive") as shell:
            names = " ".join(packages())
            shell.paste("apt-get update")
            shell.paste(f"apt-get install -y --no-install-recommends {names}")
            shell.paste(f"mkdir {FOLDER}; cd {FOLDER}; python3 -m venv .venv")
        with Shell(enter, **_pip_environ(wheel)) as shell:
            yield Place(machine, shell.paste)


PLACES = {"debian": debian, "here": here}


def _open(folder: Path) -> None:
    """Let every user pass a folder, as one does with what a service runs."""
    folder.chmod(folder.stat().st_mode | 0o111)


def _release(lower: Path) -> list[str]:
    """Return the name, the folder and the source of this machine's own Debian."""
    asking = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]
    answer = subprocess.run(asking, capture_output=True, text=True, check=True)
    release, source = answer.stdout.splitlines()[0].split()
    return [release, str(lower), source]


def _wheel(folder: Path) -> str:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    [wheel] = folder.glob("sync_streams-*.whl")
    constraint = folder / "constraint.txt"
    constraint.write_text(f"sync-streams @ file://{WHEELS}/{wheel.name}\n")
    return constraint.name


def _pip_environ(constraint: str) -> dict[str, str]:
    """Return what pip needs here as there, and which release it shall install."""
    same = {name: value for name, value in os.environ.items() if name[:4] == "PIP_"}
    return {
        **same,
        "PATH": f"{FOLDER}/.venv/bin:/usr/bin:/bin",
        "PIP_FIND_LINKS": WHEELS,
        "PIP_CONSTRAINT": f"{WHEELS}/{constraint}",
    }
