"""CONTRIBUTING.md: commands exist, examples select tests, lists name files."""

import re
import shlex
import subprocess

import pytest

from tests.documents import ROOT, code_block

CONTRIBUTING = "CONTRIBUTING.md"
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)

SETUP = code_block(CONTRIBUTING, "sh", "make check").splitlines()
SELECTIONS = code_block(CONTRIBUTING, "sh", "-m pytest").splitlines()
ROWS = re.findall(r"^\| (`.*?) \|", (ROOT / CONTRIBUTING).read_text(), re.MULTILINE)
PLACES = re.findall(
    r"`(\w+(?:/\w+)*\.py)` \(((?:`\w+`(?:, )?)+)\)|`(\w+)` \(`([\w/]+\.py)`\)",
    (ROOT / CONTRIBUTING).read_text(),
)
"""A file and names in brackets, or a name and its file."""
NAMED = {path for row in ROWS for path in re.findall(r"`([^`]+/[^`]*)`", row)}


@pytest.mark.parametrize("line", SETUP)
def test_make_knows_every_target(line: str) -> None:
    command = shlex.split(line, comments=True)

    done = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True)

    assert (command[0], done.returncode) == ("make", 0), done.stderr


@pytest.mark.parametrize("line", SELECTIONS)
def test_every_example_selects_tests(line: str) -> None:
    command, _, path, *options = shlex.split(line, comments=True)[1:]
    selected = ROOT / path
    files = selected.glob("test_*.py") if selected.is_dir() else [selected]

    tests = [name for file in files for name in TEST.findall(file.read_text())]

    assert (command, options[:-1]) in [("-m", []), ("-m", ["-k"])]
    assert [name for name in tests if not options or options[-1] in name]


@pytest.mark.parametrize("path", sorted(NAMED))
def test_every_listed_file_exists(path: str) -> None:
    # Names for a contributor to choose are in angle brackets or capitals.
    pattern = re.sub(r"<\w+>|[A-Z]{2,}", "*", path)

    assert list(ROOT.glob(pattern)), path


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_every_name_is_in_the_file_that_is_given(place: tuple[str, ...]) -> None:
    path, names = place[0] or place[3], re.findall(r"\w+", place[1] or place[2])
    files = [ROOT / path, ROOT / "sync_streams" / path]
    text = next(file for file in files if file.exists()).read_text()

    for name in names:
        defines = rf"^ *(?:async )?(?:def |class )?{name}\b"
        assert re.search(defines, text, re.MULTILINE), name
