"""docs/migrating-from-twilio.md, executed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import StartSite
from tests.documents import EXAMPLE_ORIGIN, ROOT, code_block
from tests.services import DemoSite, cannot_have

DOCUMENT = "docs/migrating-from-twilio.md"
MODULES = ROOT / "tests/compat/node_modules"
SHOW = """
const fetchToken = async () => token;
const show = (...seen) => { console.log(JSON.stringify(seen)); process.exit(0); };
"""


@pytest.fixture
def site(start_site: StartSite) -> DemoSite:
    """A site without Streams: the document creates one."""
    if not shutil.which("node") or not (MODULES / "twilio-sync").exists():
        cannot_have("Node with npm's packages")
    return start_site()


def run(site: DemoSite, *command: str, code: str) -> str:
    """Run a program on code of the document and return what it prints."""
    return subprocess.run(
        command,
        input=code.replace(EXAMPLE_ORIGIN, site.base_url.removeprefix("http://")),
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout


def python(site: DemoSite, containing: str) -> str:
    names = ("account_sid", "auth_token", "api_key_sid", "api_key_secret")
    values = "".join(f"{name} = {getattr(site, name)!r}\n" for name in names)
    code = code_block(DOCUMENT, "python", containing)
    return run(site, sys.executable, "-", code=values + code)


def test_back_ends_create_and_publish(site: DemoSite) -> None:
    python(site, "twilio.rest")

    values = (
        f"const accountSid = {site.account_sid!r}, authToken = {site.auth_token!r};"
    )
    run(site, "node", "-", code=values + code_block(DOCUMENT, "js", '"twilio"'))


def test_sdk_opens_publishes_and_hears(site: DemoSite) -> None:
    code = code_block(DOCUMENT, "js", "SyncClient")
    values = f"const token = {python(site, 'AccessToken').strip()!r};{SHOW}"

    printed = run(site, "node", "-", code=f"(async () => {{ {values}{code} }})();")

    assert json.loads(printed) == [{"text": "Hello"}, True]
