"""The attacks in the table of docs/security.md."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tests.programs import ROOT

PAGE = ROOT / "docs/security.md"
HEADS = (
    *("attack", "server", "inputs", "received", "p50 / p99", "memory", "threads"),
    "how its connections ended",
)
Row = Sequence[str]


def render(rows: Iterable[Row]) -> str:
    """Return a table in Markdown, by attack and server."""
    lines = [
        HEADS,
        ["---"] * len(HEADS),
        *sorted(rows, key=lambda row: (row[0], row[1])),
    ]
    # The columns are formatted as in the page.
    return "".join(
        f"|{'|'.join(line)}|\n" if line[0] == "---" else f"| {' | '.join(line)} |\n"
        for line in lines
    )


def read(text: str) -> list[Row]:
    """Return the rows of the table in a page."""
    _, _, table = text.partition(f"| {' | '.join(HEADS)} |\n")
    lines = table.partition("\n\n")[0].splitlines()[1:]
    return [line.strip("| ").split(" | ") for line in lines]


def rewrite(text: str, rows: Sequence[Row], attacks: Iterable[str]) -> str:
    """Return a page with new figures, and without former attacks.

    Args:
        text: the page.
        rows: the measured figures.
        attacks: the titles of all attacks.
    """
    before = read(text)
    known = set(attacks)
    kept = {tuple(row[:2]): row for row in before if row[0] in known}
    kept |= {tuple(row[:2]): row for row in rows}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    text = re.sub(r"(figures are from )[0-9-]+", rf"\g<1>{today}", text)
    return text.replace(render(before), render(kept.values()))
