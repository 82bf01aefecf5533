"""``python -m bench.document``: writes the latest results to docs/performance.md."""

import json
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from .process import ROOT
from .report import number

RESULTS = ROOT / "bench/results"
DOCUMENT = ROOT / "docs/performance.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

Row = dict[str, Any]
Cell = Callable[[str], str]
"""Returns a contender's figure as text; empty if there is none."""


class Results:
    """The JSON files of one complete run."""

    def __init__(self) -> None:
        files = sorted(RESULTS.glob("*.json"))
        self.runs = {file.stem: json.loads(file.read_text()) for file in files}

    @property
    def contenders(self) -> list[str]:
        """Return the measured contenders, in the order of the run."""
        rows = (row for run in self.runs.values() for row in run["rows"])
        return list(dict.fromkeys(row["contender"] for row in rows))

    def find(self, scenario: str, case: str, contender: str) -> Row | None:
        """Return one row, if it has figures."""
        for row in self.runs.get(scenario, {"rows": []})["rows"]:
            if (row["case"], row["contender"]) == (case, contender) and row["values"]:
                return dict(row)
        return None

    def cell(self, scenario: str, case: str, field: str = "median") -> Cell:
        """Return the column of a field, or of its median if it has several values."""

        def text(contender: str) -> str:
            row = self.find(scenario, case, contender)
            if row is None or row[field] in (None, []):
                return ""
            value = row[field]
            figure = median(value) if isinstance(value, list) else value
            return number(figure) if figure else "–"

        return text


def render(results: Results) -> str:
    """Return the figures as Markdown."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    cell = results.cell
    yield from _facts(results)
    yield "\n### Delivery\n"
    yield from _table(
        results,
        {
            "at 30/s, one Stream": cell("headline", "1 Stream"),
            "over 100 Streams": cell("headline", "100 Streams"),
            "deliveries/s a core": cell("fanout", "1000 subscribers", "per_core"),
            "× tutorial": cell("fanout", "1000 subscribers", "ratio"),
            "at 5,000": cell("fanout", "5000 subscribers", "per_core"),
            "publish p50 at 1": cell("fanout", "publish to 1 subscriber at 30/s"),
            "at 5,000 ": cell("fanout", "publish to 5000 subscribers at 30/s"),
        },
    )
    yield "\n### Publishing, a second\n"
    yield from _table(
        results,
        {
            "socket, 1": cell("publish", "socket, 1 publisher"),
            "socket, 8": cell("publish", "socket, 8 publishers"),
            "REST, 1": cell("publish", "REST, 1 publisher"),
            "REST, 8": cell("publish", "REST, 8 publishers"),
            "p50 ms": cell("publish", "REST, 1 publisher", "p50"),
        },
    )
    yield "\n### Connections\n"
    idle, stalled = "5000 connections: ", "of 1000 stalled: "
    yield from _table(
        results,
        {
            "KB each": cell("idle", f"{idle}memory"),
            "opened/s": cell("idle", f"{idle}opening"),
            "p99 ms": cell("stalled", f"0 {stalled}p99 of the others"),
            "p99, one stalled": cell("stalled", f"1 {stalled}p99 of the others"),
            "KB/s": cell("stalled", f"0 {stalled}growth of the server"),
            "KB/s, one stalled": cell("stalled", f"1 {stalled}growth of the server"),
        },
    )
    yield "\n### Workers, deliveries/s with a core each\n"
    columns = {name: cell("workers", name) for name in ("1 worker", "2 workers")}
    yield from _table(results, columns)
    yield "\n### Goals\n"
    for run in results.runs.values():
        yield from (f"- {goal}" for goal in run.get("goals", ()))


def _facts(results: Results) -> Iterator[str]:
    for scenario, run in results.runs.items():
        if "machine" in run:
            machine = run["machine"]
            yield (
                f"- {scenario}: `{run['command']}`, {run['at'][:10]}, "
                f"{machine['cpu']}, {machine['cores']} cores, Linux "
                f"{machine['kernel']}, Python {machine['python']}"
            )


def _table(results: Results, columns: dict[str, Cell]) -> Iterator[str]:
    yield _row(["", *(name.strip() for name in columns)])
    yield _row(["---", *("---:" for _ in columns)])
    for contender in results.contenders:
        cells = [column(contender) for column in columns.values()]
        if any(cells):
            yield _row([contender, *cells])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Insert the figures between their markers."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{render(Results())}\n{END}{after}")
    print(f"written: {DOCUMENT}")


if __name__ == "__main__":
    main()
