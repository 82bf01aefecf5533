"""Draws bars as SVG 1.1: one panel per case, one bar per contender."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .report import number
from .rows import Row

WIDTH = 760
LABEL = 190
FIGURES = 150
BAR = 16
GAP = 6
TITLE = 34
COLOURS = {"product": "#0b7a75", "tutorial": "#b3541e", "other": "#6b7280"}

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2937 }
  .title { font-weight: 600 }
  .spread { stroke: #1f2937; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .spread { stroke: #e5e7eb }
  }
"""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write one chart of a scenario's rows."""
    parts: list[str] = []
    top = 10
    for case in dict.fromkeys(row.case for row in rows):
        panel = [row for row in rows if row.case == case and row.values]
        if panel:
            parts += _panel(panel, top)
            top += TITLE + len(panel) * (BAR + GAP) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}"'
        f' viewBox="0 0 {WIDTH} {top}" role="img"><style>{_STYLE}</style>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *parts, "</svg>"]) + "\n")


def _panel(rows: Sequence[Row], top: int) -> list[str]:
    title = escape(f"{rows[0].case} ({rows[0].unit})")
    most = max(max(row.values) for row in rows) or 1
    scale = (WIDTH - LABEL - FIGURES) / most
    parts = [f'<text class="title" x="0" y="{top + 18}">{title}</text>']
    for place, row in enumerate(rows):
        parts += _bar(row, top + TITLE + place * (BAR + GAP), max(scale, 0))
    return parts


def _bar(row: Row, top: int, scale: float) -> list[str]:
    group = row.contender.partition("-")[0]
    colour = COLOURS.get(group, COLOURS["other"])
    length = max(row.median, 0) * scale
    low, high = (
        LABEL + max(edge, 0) * scale for edge in (min(row.values), max(row.values))
    )
    middle = top + BAR / 2
    ratio = f"  {row.ratio:.2g}×" if row.ratio is not None else ""
    return [
        f'<text x="{LABEL - 8}" y="{top + 12}" text-anchor="end">'
        f"{escape(row.contender)}</text>",
        f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}"'
        f' fill="{colour}"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}"'
        f' y2="{middle}"/>',
        f'<text x="{max(high, LABEL + length) + 6:.1f}" y="{top + 12}">'
        f"{number(row.median)}{ratio}</text>",
    ]
