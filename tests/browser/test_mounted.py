"""Pages with sockets below a path, behind a proxy that strips the path."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from tests.browser.conftest import log_in
from tests.browser.test_admin import ADMIN
from tests.browser.test_page import publish, sees
from tests.programs import DemoSite, PythonProgram, free_port, site_environ
from tests.sse.test_proxies import nginx

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PREFIX = "/sync"
SERVER = (
    *("-m", "uvicorn", "project.asgi:application", "--lifespan", "on"),
    *("--ws", "sync_streams.uvicorn:FramePathProtocol"),
    *("--http", "sync_streams.uvicorn:BoundedHttpProtocol"),
)
STRIP = r"""
rewrite ^/sync(/.*)$ $1 break;
proxy_http_version 1.1; proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
"""


@pytest_asyncio.fixture(loop_scope="session")
async def mounted(embedded: DemoSite, tmp_path: Path) -> AsyncIterator[str]:
    """URL of a demo site below a path that its server knows."""
    port = free_port()
    environ = site_environ(embedded.data_dir, UVICORN_ROOT_PATH=PREFIX)
    command = [*SERVER, "--port", str(port)]
    with PythonProgram(*command, ready="running on", environ=environ):
        async with nginx(tmp_path, port, listen="", location=STRIP) as front:
            yield f"http://127.0.0.1:{front}{PREFIX}"


async def test_console_and_monitor_are_live_below_a_path(
    mounted: str, embedded: DemoSite, context: BrowserContext
) -> None:
    page = await context.new_page()
    await page.goto(f"{mounted}/#mounted")
    await expect(page.locator("#stream-facts code")).to_be_visible()

    await publish(page, {"n": 1})
    await sees(page, '"n": 1')

    await log_in(context, embedded)  # its cookie belongs to the host, whatever the port
    await page.click("text=Admin")
    await page.wait_for_url(f"{mounted}/admin/")
    await page.goto(f"{mounted}{ADMIN}/stream/?q=mounted")
    await page.click("text=Watch")
    await expect(page.locator("[data-part=state]")).to_have_text("Connected")
    subscribed = "Number(document.querySelector('#sync-monitor').dataset.subscribed)"
    await page.wait_for_function(f"{subscribed} >= 1")
    await page.fill(".sync-publish textarea", json.dumps({"n": 2}))
    await page.click(".sync-publish button[type=submit]")

    await expect(page.locator("[data-part=rows] code")).to_have_text(['{"n":2}'])
    assert page.url.startswith(f"{mounted}/admin/")
