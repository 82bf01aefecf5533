"""docs/security.md: a test for each promise, and a table of what was measured."""

import re

from tests.door import table
from tests.door.attacks import ATTACKS, title
from tests.programs import ROOT

NEW = ["A new attack", "make run", *["1"] * 6]


def test_new_figures_replace_old_ones_and_the_others_stay() -> None:
    text = table.PAGE.read_text()
    first, *others = table.read(text)
    measured = [*first[:2], *["2"] * 6]
    known = [*(row[0] for row in others), first[0], NEW[0]]

    rewritten = table.rewrite(text, [measured, NEW], known)

    assert table.read(rewritten) == sorted([measured, *map(list, others), NEW])
    assert table.rewrite(rewritten, [first], known[:-1]).count("\n") == text.count("\n")


def test_only_attacks_are_in_the_table() -> None:
    assert {row[0] for row in table.read(table.PAGE.read_text())} <= set(
        map(title, ATTACKS)
    )


def test_a_test_shows_each_promise() -> None:
    _, _, rest = table.PAGE.read_text().partition("| promise | how | shown by |\n")
    rows = rest.partition("\n\n")[0].splitlines()[1:]
    assert len(rows) > 9
    for row in rows:
        names = re.findall(r"`(tests/[^`]+)`", row)
        assert names, row
        for name in names:
            path = ROOT / name
            texts = [path] if path.is_file() else [*path.glob("test_*.py")]
            assert any("def test_" in text.read_text() for text in texts) or (
                name == "tests/secrecy.py" and path.is_file()
            ), row
