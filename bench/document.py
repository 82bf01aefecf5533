"""``python -m bench.document``: writes the latest results into the documents.

Each block stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``. A run of one
scenario, ``python -m bench sse --output bench/results``, renews that scenario's
figures; those of the others remain, with their own dates.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import comparison, sizing, tables
from .measured import Results
from .process import ROOT

Block = Callable[[Results], Iterable[str]]


def _costs(_results: Results) -> Iterator[str]:
    return sizing.costs_table(sizing.read_costs())


def _sizes(_results: Results) -> Iterator[str]:
    return sizing.sizing_table(sizing.read_costs())


BLOCKS: dict[tuple[str, str], Block] = {
    ("docs/performance.md", "figures"): tables.figures,
    ("docs/performance.md", "servers"): comparison.servers,
    ("docs/comparison.md", "measured"): comparison.comparison,
    ("docs/scaling.md", "costs"): _costs,
    ("docs/scaling.md", "sizes"): _sizes,
    ("docs/decisions.md", "layers"): comparison.layers,
    ("README.md", "headline"): comparison.headline,
}


def shown(document: str, name: str) -> list[str]:
    """Return the lines that a document has between two markers."""
    return _parted(ROOT / document, name)[1].strip("\n").splitlines()


def write(document: str, name: str, lines: Iterable[str]) -> None:
    """Replace the lines between two markers."""
    path = ROOT / document
    before, _, after = _parted(path, name)
    path.write_text("\n".join([before, "", *lines, "", after]))


def _parted(path: Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = path.read_text().partition(begin)
    inner, _, after = rest.partition(end)
    return before + begin, inner, end + after


def main() -> None:
    """Write every block."""
    results = Results()
    for (document, name), block in BLOCKS.items():
        write(document, name, block(results))
        print(f"written: {document}, {name}")


if __name__ == "__main__":
    main()
