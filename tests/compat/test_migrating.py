"""docs/migrating-from-twilio.md, executed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tree_sitter_c_sharp
import tree_sitter_php
import tree_sitter_ruby
from tree_sitter import Language, Parser

from tests.conftest import StartSite
from tests.documents import EXAMPLE_ORIGIN, ROOT, code_block, code_blocks
from tests.js.tools import PACKAGE, TYPESCRIPT, App
from tests.programs import DemoSite, cannot_have

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
    python(site, "sync_streams.create(")
    python(site, "asyncio.run(")

    values = (
        f"const accountSid = {site.account_sid!r}, authToken = {site.auth_token!r};"
    )
    run(site, "node", "-", code=values + code_block(DOCUMENT, "js", '"twilio"'))


def test_sdk_opens_publishes_and_receives(site: DemoSite) -> None:
    code = code_block(DOCUMENT, "js", "SyncClient")
    values = f"const token = {python(site, 'AccessToken').strip()!r};{SHOW}"

    printed = run(site, "node", "-", code=f"(async () => {{ {values}{code} }})();")

    assert json.loads(printed) == [{"text": "Hello"}, True]


@pytest.mark.parametrize(
    ("language", "grammar"),
    [
        ("ruby", tree_sitter_ruby.language),
        ("php", tree_sitter_php.language_php),
        ("csharp", tree_sitter_c_sharp.language),
    ],
)
def test_languages_that_are_not_executed_can_be_parsed(
    language: str, grammar: Callable[[], object]
) -> None:
    [block] = code_blocks(DOCUMENT, language)

    tree = Parser(Language(grammar())).parse(block.encode())

    assert not tree.root_node.has_error


def test_the_parsers_see_an_error() -> None:
    tree = Parser(Language(tree_sitter_ruby.language())).parse(b"def x(; end")

    assert tree.root_node.has_error


def test_react_example_fits_the_types_of_the_sdk(tmp_path: Path) -> None:
    [block] = code_blocks(DOCUMENT, "tsx")
    # The SDK's own types need some of Node's, as the document says.
    settings = TYPESCRIPT.replace(
        '"strict": true', '"strict": true, "skipLibCheck": true'
    )
    app = App(tmp_path, PACKAGE, {"Feed.tsx": block, "tsconfig.json": settings})
    for name in ("twilio-sync", "twilsock", "@twilio", "operation-retrier"):
        if (MODULES / name).exists():
            (tmp_path / "node_modules" / name).symlink_to(MODULES / name)

    app.check_types()


def test_every_language_is_here() -> None:
    counts = {"python": 3, "js": 2, "go": 1, "java": 1, "ruby": 1, "php": 1}
    counts |= {"csharp": 1, "tsx": 1}

    assert {name: len(code_blocks(DOCUMENT, name)) for name in counts} == counts
