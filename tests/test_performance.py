"""docs/performance.md shows the results that are in the repository."""

import pytest

from bench.document import BEGIN, DOCUMENT, END, Results, render
from tests.documents import ROOT


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
