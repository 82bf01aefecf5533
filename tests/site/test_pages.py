"""The documentation site: built strictly, and in line with the code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from docs.generate.files import FILES
from docs.generate.settings import read_entries, unexplained
from docs.generate.site import PAGES, assemble
from docs.generate.versions import publish
from sync_streams.conf import Settings, get_settings
from sync_streams.connections import bounds, inbound
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.subscriber import MAX_REFUSALS
from sync_streams.errors import SyncError
from sync_streams.metrics import metrics
from sync_streams.models import MAX_DEBOUNCING_WINDOW_MS
from sync_streams.operations import data, validators
from sync_streams.rest import bodies, pagination
from sync_streams.tokens import MAX_IDENTITY_LENGTH, MAX_LIFETIME_SECONDS
from tests.documents import ROOT, code_block

DOCUMENTS = sorted(
    [*PAGES, *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
FIXED = {
    "Message data, as compact UTF-8 JSON": data.MAX_DATA_BYTES,
    "Depth of Message data": data.MAX_DEPTH,
    "Unique name": validators.MAX_UNIQUE_NAME_LENGTH,
    "TTL of a Stream": validators.MAX_TTL_SECONDS,
    "Friendly name of a Service": validators.MAX_FRIENDLY_NAME_LENGTH,
    "Webhook URL": validators.MAX_WEBHOOK_URL_LENGTH,
    "Reachability debouncing window": MAX_DEBOUNCING_WINDOW_MS,
    "Parameters of a request": bodies.MAX_PARAMETERS,
    "Page size of a list": pagination.MAX_PAGE_SIZE,
    "Identity": MAX_IDENTITY_LENGTH,
    "Lifetime of a token": MAX_LIFETIME_SECONDS,
    "Request line and headers": bounds.MAX_HEAD_BYTES,
    "Headers of a request": bounds.MAX_HEADERS,
    "Time for a request's head": bounds.HEAD_SECONDS,
    "Time for a request's body": bounds.BODY_SECONDS,
    "Time for a client to read a response": bounds.UNREAD_SECONDS,
    "Refused tokens of a connection": MAX_REFUSALS,
    "Frames before the token is accepted": inbound.FRAMES_BEFORE_TOKEN,
    "Bytes before the token is accepted": inbound.BYTES_BEFORE_TOKEN,
    "Pings and pongs in 2 s, of a connection": inbound.MAX_CONTROL_FRAMES,
    "Fragments of a message": inbound.MAX_FRAGMENTS,
    "Time to read what is left when a socket ends": bounds.LINGER_SECONDS,
}


def rows(document: str) -> Iterator[list[str]]:
    """Yield the cells of every row of a document's tables, heads left out."""
    for line in (ROOT / document).read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| limit", "| code")):
            yield [cell.strip() for cell in line.strip("| ").split(" | ")]


def number(text: str) -> float:
    found = re.match(r"[\d,.]+", text)
    assert found, text
    return float(found[0].replace(",", ""))


def anchors(document: str) -> set[str]:
    """Return the anchors of a document's headings, as the site and forges make them."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", FILES)
def test_generated_file_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name](), "run python -m docs.generate"


def test_settings_are_given_as_documented() -> None:
    space: dict[str, dict[str, object]] = {}
    exec(code_block("docs/settings.md", "python", "SYNC_STREAMS"), space)

    with override_settings(SYNC_STREAMS=space["SYNC_STREAMS"]):
        assert get_settings().publish_window_seconds == 10


def test_metrics_are_routed_as_documented() -> None:
    block = code_block("docs/metrics.md", "python", "urlpatterns")
    space: dict[str, Any] = {"urlpatterns": []}

    exec(block, space)

    assert space["urlpatterns"][0].callback is metrics


def test_every_setting_says_when_to_change_it() -> None:
    assert unexplained() == set()
    assert all(entry.text for entry in read_entries().values())


def test_site_is_built_without_a_warning(tmp_path: Path) -> None:
    assemble(tmp_path / "build/docs")
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]

    built = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert built.returncode == 0, built.stdout + built.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        html = (tmp_path / "build/site" / name).read_text()
        shown = set(re.findall(r'<h[1-6] id="([^"]+)"', html))
        assert anchors(str(page.relative_to(ROOT))) <= shown, name
    names = {path.name for path in (tmp_path / "build/site").rglob("*.html")}
    pages = {path.with_suffix(".html").name for path in (ROOT / "docs").rglob("*.md")}
    assert pages | {"index.html", "search.json"} <= names | {"search.json"}


def test_versions_of_the_site_stand_side_by_side(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for version in ("0.9.1", "0.10.0", "0.9.2"):
        (tmp_path / "built").mkdir()
        (tmp_path / "built/index.html").write_text(version)
        publish(tmp_path / "built", site, version)

    pages = {path.parent.name: path.read_text() for path in site.glob("*/index.html")}
    assert pages == {"0.9": "0.9.2", "0.10": "0.10.0"}
    assert json.loads((site / "versions.json").read_text()) == [
        {"version": "0.10", "title": "0.10", "aliases": ["latest"]},
        {"version": "0.9", "title": "0.9", "aliases": []},
    ]
    assert 'href="0.10/index.html"' in (site / "index.html").read_text()


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}

    assert listed == pages | set(PAGES.values())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_exist(document: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.M | re.S)
    missing = []
    for link in re.findall(r"\]\(([^) ]+)\)", text):
        target, _, anchor = link.partition("#")
        path = ((ROOT / document).parent / target).resolve() if target else None
        if "://" in link:
            continue
        page = str(path.relative_to(ROOT)) if path else document
        if (path and not path.exists()) or (anchor and anchor not in anchors(page)):
            missing.append(link)

    assert missing == []


def test_limits_are_those_of_the_code() -> None:
    fixed, defaults = {}, Settings()
    for name, value, setting, _ in rows("docs/limits.md"):
        if setting == "fixed":
            fixed[name] = number(value)
        else:
            assert number(value) == getattr(defaults, setting.strip("`").lower()), name

    assert fixed == FIXED


def test_every_setting_that_is_a_limit_is_among_the_limits() -> None:
    text = (ROOT / "docs/limits.md").read_text()
    names = {name.upper() for name in Settings.__dataclass_fields__}
    limits = {n for n in names if n.startswith(("MAX_", "OUTBOX_")) or "TIMEOUT" in n}

    assert {name for name in limits if f"`{name}`" not in text} == set()


def kinds(base: type[SyncError]) -> Iterator[type[SyncError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_is_explained_with_its_status() -> None:
    found = {
        (int(code), int(status))
        for code, status, *_ in rows("docs/errors.md")
        if status.isdecimal()
    }
    ours = {
        (kind.code, kind.status)
        for kind in kinds(SyncError)
        if kind.__module__.startswith("sync_streams.")
    }

    assert ours <= found
    # The other two are of Twilsock's frames, which are no errors of an operation.
    assert found - ours == {(51202, 429), (51214, 406)}


def test_every_close_code_is_explained_with_its_reason() -> None:
    found = {
        code: reason for code, reason, *_ in rows("docs/errors.md") if code[0] == "4"
    }

    assert found == {str(int(code)): code.reason for code in CloseCode}
