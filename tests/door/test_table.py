"""The table of docs/security.md is written from what was measured."""

from tests.door import table
from tests.door.attacks import ATTACKS, title

NEW = ["A new attack", "make run", *["1"] * 6]


def test_new_figures_replace_old_ones_and_the_rest_stays() -> None:
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
