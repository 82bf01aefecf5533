"""``python -m tests.rest.fuzz PROGRAM``: schemathesis against the demo site, bounded.

Two of its checks are left out. Numbers may be sent as text, as Twilio's libraries send
them, so data of another type is accepted; and rules such as those for names and page
tokens are beyond JSON Schema, so data that matches the schema may be refused. See
https://schemathesis.readthedocs.io/.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.programs import DemoSite

EXAMPLES = 50
SEED = 1
SECONDS = 300
LEFT_OUT = "positive_data_acceptance,negative_data_rejection"


def schemathesis(
    program: str, site: DemoSite, *options: str, examples: int = EXAMPLES
) -> subprocess.CompletedProcess[str]:
    """Run it against a site; return its exit code and what it printed."""
    return subprocess.run(
        [
            *(program, "run", f"{site.base_url}/v1/openapi.json"),
            *("--auth", f"{site.account_sid}:{site.auth_token}"),
            *("--exclude-checks", LEFT_OUT),
            *("--max-examples", str(examples), "--seed", str(SEED)),
            # A server may end a connection that a client is about to use again.
            *("--request-retries", "1"),
            *("--generation-database", "none", "--no-color"),
            *options,
        ],
        cwd=site.data_dir,  # it leaves files in its working directory
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def main(program: str) -> int:
    """Run it against a new site; return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        site = DemoSite(Path(folder))
        try:
            done = schemathesis(program, site)
        finally:
            site.stop()
    sys.stdout.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
