"""Themes of the admin: pages have colours even if a theme lacks Django's."""

import re

from tests.programs import ROOT

STYLES = ROOT / "sync_streams/static/sync_streams/monitor.css"


def test_every_colour_of_a_theme_has_one_to_fall_back_on() -> None:
    text = STYLES.read_text(encoding="utf-8")

    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    defined = set(re.findall(r"^  (--sync-[\w-]+):", text, re.MULTILINE))

    assert used == defined
