"""docs/performance.md shows the results that are in the repository."""

import re

import pytest

from bench.contenders import CONTENDERS
from bench.document import BEGIN, DOCUMENT, END, Results, render
from bench.scenarios import SCENARIOS
from tests.documents import ROOT, code_block


def test_figures_are_those_of_the_last_run() -> None:
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]

    assert shown.strip() == render(Results()).strip()


def test_the_readme_says_what_was_measured() -> None:
    claim = (
        "[one core](docs/performance.md) delivers a Stream's 30 Messages a second to "
        "6,000 subscribers over the JSON socket with p99 below 100 ms, twice what "
        "Node's `ws` does"
    )
    rows = Results().runs["headline"]["rows"]
    held = {r["contender"]: r["median"] for r in rows if r["case"] == "1 Stream"}

    assert claim in " ".join((ROOT / "README.md").read_text().split())
    assert held["product-frames"] == pytest.approx(6_000, rel=0.05)
    assert held["product-frames"] >= 2 * held["node-ws"]


def test_the_documented_command_names_what_exists() -> None:
    block = code_block("docs/performance.md", "sh", "make bench")
    command = re.search(r"python -m bench (\w+) --only (\S+)", block)

    assert command
    assert command[1] in SCENARIOS
    assert set(command[2].split(",")) <= {each.name for each in CONTENDERS}
