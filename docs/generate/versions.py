"""``python -m docs.generate.versions``: put a built site beside other versions' sites.

``site/`` has a folder for each minor version, the list from which readers choose in the
pages' header, and a page that leads to the newest. A build replaces its own folder.
"""

import json
import re
import shutil
from pathlib import Path

from sync_streams import __version__

from .site import ROOT

BUILT = ROOT / "build/site"
SITE = ROOT / "site"
FOLDER = re.compile(r"\d+\.\d+")

NEWEST = """\
<!doctype html>
<title>sync_streams</title>
<meta http-equiv="refresh" content="0; url={0}/index.html">
<a href="{0}/index.html">sync_streams {0}</a>
"""


def publish(built: Path, site: Path, version: str) -> None:
    """Move a built site to its version's folder, and list the versions anew.

    Args:
        built: the folder that was built.
        site: the folder of all versions.
        version: the app's, such as ``0.2.0``.
    """
    [folder] = FOLDER.findall(version)[:1]
    shutil.rmtree(site / folder, ignore_errors=True)
    site.mkdir(exist_ok=True)
    shutil.move(built, site / folder)
    found = [path.name for path in site.iterdir() if FOLDER.fullmatch(path.name)]
    found.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    entries = [
        {"version": name, "title": name, "aliases": ["latest"] if not place else []}
        for place, name in enumerate(found)
    ]
    (site / "versions.json").write_text(json.dumps(entries, indent=2) + "\n")
    (site / "index.html").write_text(NEWEST.format(found[0]))


if __name__ == "__main__":
    publish(BUILT, SITE, __version__)
