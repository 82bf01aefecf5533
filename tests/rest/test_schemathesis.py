"""Every operation of openapi.json, called by schemathesis.

A short run with a fixed seed; ``make fuzz`` has more of it.
"""

import re
from pathlib import Path

from sync_streams.rest.reference import read_document
from tests.documents import ROOT
from tests.programs import DemoSite, cannot_have
from tests.rest.fuzz import schemathesis

PROGRAM = ROOT / ".venv-fuzz/bin/schemathesis"
EXAMPLES = 5


def test_the_api_answers_as_its_description_says(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        cannot_have("schemathesis")
    with DemoSite(tmp_path) as site:
        done = schemathesis(
            str(PROGRAM), site, "--phases", "coverage,fuzzing", examples=EXAMPLES
        )

    paths = read_document()["paths"].values()
    operations = sum(len(item.keys() - {"parameters"}) for item in paths)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"Tested: +{operations}\n", done.stdout), done.stdout
