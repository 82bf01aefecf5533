"""The page, pasted block by block on a copy of this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.programs import ROOT, cannot_have

PROGRAMS = "systemctl", "nginx", "redis-server", "openssl", "nsenter"
SECONDS = 300


def command() -> list[str]:
    """Return what starts the walk as root."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    for program in PROGRAMS:
        if shutil.which(program, path=path) is None:
            cannot_have(program)
    if not Path("/usr/bin/pg_createcluster").exists():
        cannot_have("Debian's PostgreSQL")
    if os.geteuid() == 0:
        return []
    return ["sudo", "--non-interactive", "--preserve-env"]


def test_a_site_that_is_pasted_from_the_page_runs_and_restarts() -> None:
    walk = subprocess.run(
        [*command(), sys.executable, "-m", "tests.walk", "here"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert walk.stdout.endswith("The page holds what it promises.\n"), walk.stdout
