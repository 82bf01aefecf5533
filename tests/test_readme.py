"""The README, executed: its commands work as described."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from sync_streams import operations
from sync_streams.testing import capture_published
from tests.clients.accounts import Account
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import WAIT_SECONDS, LocalSite, publish, request
from tests.documents import EXAMPLE_ORIGIN, README, ROOT, code_block, new_project
from tests.programs import DemoSite, Program, cannot_have, free_port
from tests.settings import ACCOUNT_SID

HELLO = {"text": "Hello"}
PROJECT_ACCOUNT = Account("AC" + "c" * 32, "t" * 32, "SK" + "c" * 32, "s" * 32)
SDK = ROOT / "tests/compat/node_modules/twilio-sync/builds/twilio-sync.min.js"


@pytest.fixture
async def subscriber(embedded: DemoSite) -> AsyncIterator[SiteSocket]:
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream="demo")
        yield socket


@pytest_asyncio.fixture(loop_scope="session")
async def page(embedded: DemoSite, browser: Browser) -> AsyncIterator[Page]:
    """A page at the site's origin, whose policy lets a test add scripts to it."""
    context = await browser.new_context(bypass_csp=True)
    page = await context.new_page()
    await page.goto(f"{embedded.base_url}/livez")
    yield page
    await context.close()


def aimed_at(site: DemoSite, code: str) -> str:
    return code.replace(EXAMPLE_ORIGIN, site.base_url.removeprefix("http://"))


def run(*command: str, code: str, **environ: str) -> None:
    """Run a program that reads code from its standard input."""
    subprocess.run(
        command,
        input=code,
        env={**os.environ, **environ},
        check=True,
        text=True,
        timeout=60,
    )


def test_every_file_that_is_linked_exists() -> None:
    targets = re.findall(r"\]\(([^):#]+)\)", (ROOT / README).read_text())

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


async def test_curl_publishes(embedded: DemoSite, subscriber: SiteSocket) -> None:
    code = aimed_at(embedded, code_block(README, "sh", "curl"))
    run("bash", "-eu", code=code.replace(".data/", f"{embedded.data_dir}/"))

    assert (await subscriber.receive())["message"]["data"] == HELLO


async def test_twilios_python_library_publishes(
    embedded: DemoSite, subscriber: SiteSocket
) -> None:
    values = f"account_sid, auth_token = {embedded.account_sid!r}, "
    values += f"{embedded.auth_token!r}\n"

    code = aimed_at(embedded, code_block(README, "python", "twilio.rest"))
    run(sys.executable, "-", code=values + code)

    assert (await subscriber.receive())["message"]["data"] == HELLO


async def test_twilios_node_library_publishes(
    embedded: DemoSite, subscriber: SiteSocket
) -> None:
    if not shutil.which("node"):
        cannot_have("node")
    values = f"const accountSid = {embedded.account_sid!r}, "
    values += f"authToken = {embedded.auth_token!r};\n"

    code = aimed_at(embedded, code_block(README, "js", 'require("twilio")'))
    modules = str(ROOT / "tests/compat/node_modules")
    run("node", "-", code=values + code, NODE_PATH=modules)

    assert (await subscriber.receive())["message"]["data"] == HELLO


@pytest.mark.django_db(transaction=True)
def test_a_django_project_publishes() -> None:
    service = operations.get_service(ACCOUNT_SID, "default")
    operations.create_stream(service, unique_name="demo")

    with capture_published() as published:
        exec(code_block(README, "python", "import publish"), {})

    assert [each.message.data for each in published] == [HELLO]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("containing", ["Twilio.Sync.Client", "new WebSocket"])
async def test_a_browser_subscribes(
    embedded: DemoSite, page: Page, containing: str
) -> None:
    await page.add_script_tag(path=SDK)
    await page.evaluate(
        f"window.token = {embedded.account.token()!r}; window.heard = []"
    )
    await page.evaluate("void (console.log = (data) => window.heard.push(data))")

    code = aimed_at(embedded, code_block(README, "js", containing))
    await page.add_script_tag(content=code, type="module")

    assert await heard(page, embedded) == HELLO


async def heard(page: Page, site: DemoSite) -> object:
    """Publish until the page receives one: Messages before it subscribes are lost."""
    for _ in range(WAIT_SECONDS):
        publish(site, "demo", HELLO)
        with suppress(PlaywrightTimeout):
            await page.wait_for_function("window.heard.length", timeout=1000)
            return await page.evaluate("window.heard[0]")
    pytest.fail("the page heard nothing")


def test_a_django_project_installs_the_app(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    environ = {**os.environ, **PROJECT_ACCOUNT.environ, "PYTHONPATH": str(project)}
    environ |= {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    manage = (sys.executable, str(project / "manage.py"))
    run(*manage, "check", "--fail-level", "WARNING", code="", **environ)
    run(*manage, "migrate", code="", **environ)
    port = free_port()
    daphne = (sys.executable, "-m", "sync_streams.daphne", "-p", str(port))

    with Program(
        *daphne, "mysite.asgi:application", ready="Listening on TCP", environ=environ
    ) as server:
        made = LocalSite(port, PROJECT_ACCOUNT)
        path = "/v1/Services/default/Streams"
        answer = request(made, "POST", path, UniqueName="demo")

    assert answer.status_code == 201, server.output
