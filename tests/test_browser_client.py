"""The browser client: its unit tests in Node, and the properties of its files."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.js.tools import FOLDER, STATIC, bundled_node

MAX_LINES = 400
"""One module, since Django's hashed file names do not reach into imports."""

served = pytest.mark.parametrize(
    "path", sorted(STATIC.glob("sync-streams*.js")), ids=lambda path: path.name
)


def test_the_client_passes_its_unit_tests_in_node() -> None:
    files = sorted(str(path) for path in FOLDER.glob("*.test.mjs"))
    command = [bundled_node(), "--test", *files]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert result.returncode == 0, result.stdout + result.stderr


@served
def test_a_served_file_is_one_module_without_imports(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", text, re.MULTILINE)
    assert len(text.splitlines()) <= MAX_LINES


@served
def test_a_served_file_needs_no_exception_from_a_content_security_policy(
    path: Path,
) -> None:
    text = path.read_text()

    assert not re.search(r"\beval\b|new Function|innerHTML =|document\.write", text)
