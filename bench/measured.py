"""The results in ``bench/results``, by scenario, case and contender."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from .process import ROOT
from .report import number

RESULTS = ROOT / "bench/results"

Row = dict[str, Any]
Cell = Callable[[str], str]
"""Returns a contender's figure as text; empty if it was not measured."""


class Results:
    """The JSON files of a folder, one for each scenario that was run."""

    def __init__(self, folder: Path = RESULTS) -> None:
        files = sorted(folder.glob("*.json"))
        self.runs = {file.stem: json.loads(file.read_text()) for file in files}

    @property
    def contenders(self) -> list[str]:
        """Return the measured contenders, in the order of the run."""
        rows = (row for run in self.runs.values() for row in run["rows"])
        return list(dict.fromkeys(row["contender"] for row in rows))

    def find(self, scenario: str, case: str, contender: str) -> Row | None:
        """Return one row; it has no values if the contender failed."""
        for row in self.runs.get(scenario, {"rows": []})["rows"]:
            if (row["case"], row["contender"]) == (case, contender):
                return dict(row)
        return None

    def figure(
        self, scenario: str, case: str, contender: str, field: str = "median"
    ) -> float | None:
        """Return a field of a row, or the median of its values; None without one."""
        row = self.find(scenario, case, contender)
        if row is None or not row["values"] or row[field] in (None, []):
            return None
        value = row[field]
        return float(median(value) if isinstance(value, list) else value)

    def cell(self, scenario: str, case: str, field: str = "median") -> Cell:
        """Return the column of a field."""

        def text(contender: str) -> str:
            row = self.find(scenario, case, contender)
            if row is not None and not row["values"]:
                return "failed"
            figure = self.figure(scenario, case, contender, field)
            if figure is None:
                return ""
            return number(figure) if figure else "–"

        return text

    def date(self, scenario: str) -> str:
        """Return the day of a scenario's run, as YYYY-MM-DD."""
        return str(self.runs[scenario]["at"])[:10]
