"""The page, pasted block by block on a copy of this machine."""

import os
import shutil
import sys
from pathlib import Path

from tests.documents import printed_by
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
    walk = [*command(), sys.executable, "-m", "tests.walk", "here"]
    said = printed_by(*walk, folder=ROOT, within=SECONDS)

    assert said.endswith("The page holds what it promises.\n"), said
