"""``docs/architecture.md`` names the existing modules."""

import re

from tests.documents import ROOT


def test_every_module_is_in_the_table_of_levels() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    table = text[text.index("## Levels") : text.index("## The path of a Message")]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")]
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`(\w+/?)`", row)}

    package = ROOT / "sync_streams"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in package.glob("*/*.py")} - {"migrations"}

    assert named == modules | folders | {"management"}
