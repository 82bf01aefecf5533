"""docs/performance.md shows the results that are in the repository."""

from bench.document import BEGIN, DOCUMENT, END, Results, render


def test_figures_are_those_of_the_last_run() -> None:
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]

    assert shown.strip() == render(Results()).strip()
