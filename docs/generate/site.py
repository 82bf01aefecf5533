"""The pages of the site: those of ``docs/``, and those of the repository's root.

In the repository the pages link to one another and to files as they lie there; what the
site does not have is linked to at the repository's address.
"""

import re
import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the root that are pages of the site, and under which name."""

_PROTOCOLS = [page.stem.removeprefix("wire-") for page in ROOT.glob("docs/wire-*.md")]
_EXAMPLE = re.compile(rf"^```(?:{'|'.join(_PROTOCOLS)})\b.*$", re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)#: ]+)")


def repository() -> str:
    """Return the address at which the repository's files can be read."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return f"{project['urls']['Source']}/blob/main"


def assemble(folder: Path) -> None:
    """Write all pages and pictures to a folder, in place of what it holds."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    for page in (ROOT / "docs").rglob("*.md"):
        text = for_site(page.read_text(), page.parent)
        (folder / page.relative_to(ROOT / "docs")).write_text(text)
    for source, page_name in PAGES.items():
        (folder / page_name).write_text(for_site((ROOT / source).read_text(), ROOT))


def for_site(markdown: str, folder: Path) -> str:
    """Return a page of *folder* with its links as the site has them.

    Examples of protocols, which tests replay, are plain text to the site.
    """
    text = _EXAMPLE.sub("```text", markdown)
    return _LINK.sub(lambda link: link[1] + _target(link[2], folder), text)


def _target(link: str, folder: Path) -> str:
    path = (folder / link).resolve()
    if not path.exists() or not path.is_relative_to(ROOT):
        return link
    name = str(path.relative_to(ROOT))
    depth = "" if folder == ROOT else "../" * len(folder.relative_to(ROOT).parts[1:])
    if name in PAGES:
        return depth + PAGES[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/") if folder == ROOT else link
    return f"{repository()}/{name}"
