"""The wheel: what a host project gets when it installs the app."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.documents import ROOT

APP = ROOT / "sync_streams"


def test_the_wheel_holds_the_whole_app_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)

    [wheel] = tmp_path.glob("*.whl")
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    files = (path for path in APP.rglob("*") if path.is_file())
    assert held == {
        str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts
    }
    for needed in (
        "locale/de/LC_MESSAGES/django.mo",
        "locale/es/LC_MESSAGES/django.mo",
        "locale/fr/LC_MESSAGES/django.mo",
        "migrations/0001_initial.py",
        "py.typed",
        "static/sync_streams/sync-streams.js",
        "templates/admin/sync_streams/monitor.html",
    ):
        assert f"sync_streams/{needed}" in held
