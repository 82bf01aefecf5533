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
PIP_FILES = "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"
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
    for name in ("/etc/apt", "/etc/resolv.conf"):
        subprocess.run(["cp", "-rL", name, str(lower / "etc")], check=True)
    _wheel(lower / WHEELS[1:])
    with Machine(lower, folder / "machine") as machine:
        enter = machine.enter(network=False)
        with Shell(enter, DEBIAN_FRONTEND="noninteractive") as shell:
            names = " ".join(packages())
            shell.paste("apt-get update")
            shell.paste(f"apt-get install -y --no-install-recommends {names}")
            # The service is up since before it had a database cluster to start.
            shell.paste("systemctl restart postgresql")
            shell.paste(f"mkdir {FOLDER}; cd {FOLDER}; python3 -m venv .venv")
        for name in filter(os.path.exists, PIP_FILES):
            machine.path(name).write_bytes(Path(name).read_bytes())
        with Shell(enter, **_pip_environ()) as shell:
            yield Place(machine, shell.paste)


PLACES = {"debian": debian, "here": here}


def _open(folder: Path) -> None:
    """Let every user enter a folder, as needed for a service."""
    folder.chmod(folder.stat().st_mode | 0o111)


def _release(lower: Path) -> list[str]:
    """Return the name, the folder and the source of this machine's own Debian."""
    asking = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]
    answer = subprocess.run(asking, capture_output=True, text=True, check=True)
    release, source = answer.stdout.splitlines()[0].split()
    return [release, str(lower), source]


def _wheel(folder: Path) -> None:
    """Build this version, for pip to find."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)


def _pip_environ() -> dict[str, str]:
    """Return what pip needs here, and where it finds this version."""
    same = {name: value for name, value in os.environ.items() if name[:4] == "PIP_"}
    path = f"{FOLDER}/.venv/bin:/usr/bin:/bin"
    return {**same, "PATH": path, "PIP_FIND_LINKS": WHEELS}
