"""The browser client: its unit tests in Node, and the manners of the file itself."""

import re
import shutil
import subprocess
from pathlib import Path

import playwright

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "sync_streams/static/sync_streams/sync-streams.js"


def _node() -> str:
    # Playwright's wheel carries a Node of its own, newer than most distributions'.
    batched = Path(playwright.__file__).parent / "driver/node"
    return str(batched) if batched.exists() else shutil.which("node") or "node"


def test_the_client_passes_its_unit_tests_in_node() -> None:
    files = sorted(str(path) for path in (ROOT / "tests/js").glob("*.test.mjs"))

    result = subprocess.run(
        [_node(), "--test", *files], capture_output=True, text=True, timeout=60
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_client_is_one_small_module_without_imports() -> None:
    text = CLIENT.read_text()

    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", text, re.MULTILINE)
    assert len(text.splitlines()) <= 250


def test_the_client_needs_no_exception_from_a_content_security_policy() -> None:
    text = CLIENT.read_text()

    assert not re.search(r"\beval\b|new Function|innerHTML|document\.write", text)
