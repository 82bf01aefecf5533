"""Results for people and programs: the table, the JSON file, the ratios."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from . import machine
from .contenders import BASELINE
from .rows import Row

HEADINGS = (
    "contender",
    "median",
    "min–max",
    "per core",
    "p50 ms",
    "p99 ms",
    "lost",
    "gen. CPU",
    "foreign",
    "ratio",
    "",
)


def compare(rows: Sequence[Row]) -> None:
    """Give each row its ratio to the baseline of the same case."""
    for row in rows:
        base = _baseline(row, rows)
        if base is not None and base.comparable and row.values:
            row.ratio = row.comparable / base.comparable


def _baseline(row: Row, rows: Iterable[Row]) -> Row | None:
    wanted = BASELINE
    if row.scenario == "publish" and row.case.startswith("REST"):
        wanted = f"empty-view-{row.contender.partition('-')[2]}"
    same_case = (other for other in rows if other.case == row.case)
    return next((other for other in same_case if other.contender == wanted), None)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a text table, one block per case."""
    lines: list[str] = []
    for case in dict.fromkeys(row.case for row in rows):
        block = [row for row in rows if row.case == case]
        cells = [HEADINGS, *(_cells(row) for row in block)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += ["", f"{block[0].scenario}: {case} ({block[0].unit})"]
        lines += [_line(line, widths) for line in cells]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        f"{cell:>{width}}" if number else f"{cell:<{width}}"
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  " + "  ".join([first, *rest]).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    lost = f"{row.lost:,}" + (f" +{row.errors} errors" if row.errors else "")
    if row.closed:
        lost += f" +{row.closed} closed"
    return (
        row.contender,
        figure(row),
        f"{number(min(row.values))}–{number(max(row.values))}" if row.values else "",
        number(row.per_core) if row.per_core else "",
        number(median(row.p50)) if row.p50 else "",
        number(median(row.p99)) if row.p99 else "",
        lost,
        f"{row.generator_cpu:.0%}" if row.generator_cpu else "",
        f"{row.foreign_cpu:.0%}" if row.foreign_cpu else "",
        f"{row.ratio:.2f}×" if row.ratio is not None else "",
        row.note,
    )


def figure(row: Row) -> str:
    """Return a row's median, or a placeholder if it has none."""
    return number(row.median) if row.values else "failed"


def number(value: float) -> str:
    """Return a figure with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(
    rows: Sequence[Row], path: Path, *, command: str, goals: Sequence[str]
) -> None:
    """Write the rows of one scenario as JSON, with a description of the machine."""
    result = {
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "baseline": BASELINE,
        "goals": [goal.strip() for goal in goals],
        "rows": [row.as_dict() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
