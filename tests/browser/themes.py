"""The admin under other themes, in a site below a path: it fits, is legible, lives."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.test_accessibility import axe
from tests.hosts.host import Host

__all__ = ["axe"]

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

THEMES = ["unfold", "jazzmin", "grappelli", "admin_interface"]
PREFIX = "/sync/admin"
WIDTHS = (390, 768, 1024, 1440)

SET_UP = """
import json
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from sync_streams import operations
from tests.settings import ACCOUNT_SID
call_command("migrate", verbosity=0)
service = operations.create_service(ACCOUNT_SID, friendly_name="Chess " + "W" * 200)
stream = operations.create_stream(service, unique_name="W" * 320, ttl=36_000)
client = Client()
client.force_login(User.objects.create_superuser("root"))
print(json.dumps([client.session.session_key, service.sid, stream.sid]))
"""

OURS = """
[document.documentElement, document.querySelector("#result_list")?.parentElement,
 ...document.querySelectorAll(".sync-scroll, .sync-overview, #sync-monitor")]
  .map((each) => each ? each.scrollWidth - each.clientWidth : 0)
"""
"""By how much each of our parts of a page exceeds its container."""

# The headings of a module have the colours of the theme, for better or worse.
CONTRAST = """
axe.run(
  {include: [".sync-overview, #sync-monitor"], exclude: [".module > h2"]},
  {runOnly: ["color-contrast"]})
  .then(({ violations }) => violations.flatMap(
    ({ nodes }) => nodes.map((node) => [node.html, node.any[0].message])))
"""

BORDER = """
getComputedStyle(document.querySelector(".sync-card")).borderTopColor
"""


@dataclass(frozen=True)
class Themed:
    """A host project with a theme, and what is in it."""

    host: Host
    page: Page
    session: str
    service: str
    stream: str

    async def open(self, path: str) -> None:
        """Open a page of ours."""
        await self.page.goto(f"{self.host.base_url}{PREFIX}/sync_streams/{path}")

    def status_of(self, path: str) -> int:
        """Return the status of a page."""
        cookie = {"Cookie": f"sessionid={self.session}"}
        return self.host.call("GET", f"{PREFIX}/{path}", cookie).status_code


@pytest_asyncio.fixture(loop_scope="session", params=THEMES)
async def themed(
    request: pytest.FixtureRequest, browser: Browser, tmp_path: Path
) -> AsyncIterator[Themed]:
    """A site with the theme, and a tab of its administrator."""
    host = Host(tmp_path, request.param)
    session, service, stream = host.run(SET_UP)
    host.serve()
    context = await browser.new_context()
    await context.add_cookies(
        [{"name": "sessionid", "value": session, "url": host.base_url}]
    )
    yield Themed(host, await context.new_page(), session, service, stream)
    await context.close()
    host.stop()


async def test_pages_fit_are_legible_and_live_in_every_theme(
    themed: Themed, axe: str
) -> None:
    page, stream, service = themed.page, themed.stream, themed.service
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    pages = [f"sync_streams/{each}/" for each in ("stream", "service")]
    pages += [f"{pages[0]}{stream}/{each}/" for each in ("change", "delete", "history")]
    pages += [f"{pages[1]}{service}/{each}/" for each in ("change", "delete")]
    pages += [f"{pages[0]}add/", f"{pages[1]}add/", "sync_streams/", ""]

    assert [path for path in pages if themed.status_of(path) != 200] == []

    for path in (
        "stream/",
        "service/",
        "service/connections/",
        "service/processes/",
        f"service/{service}/disconnect/",
        f"service/{service}/monitor/",
    ):
        await themed.open(path)
        await fits(page, path)
    await themed.open("service/overview/")
    await expect(page.locator("[data-part=state]")).to_contain_text("respond")
    await fits(page, "overview")
    await is_legible(page, axe)
    await themed.open(f"stream/{stream}/change/")
    await page.click("text=Live monitor >> visible=true")
    await is_live(page)
    await fits(page, "monitor")
    await is_legible(page, axe)
    assert faults == []


async def fits(page: Page, name: str) -> None:
    """None of our parts exceeds its container, whatever the width of the screen."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        wide = await page.evaluate(OURS)
        assert max(wide) <= 1, (name, width, wide)


async def is_legible(page: Page, axe: str) -> None:
    """Text contrasts with its background, and framed elements have a visible frame."""
    await page.evaluate(axe)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert await page.evaluate(CONTRAST) == [], scheme
        assert not str(await page.evaluate(BORDER)).endswith(", 0)"), scheme
    await page.emulate_media(color_scheme="light")


async def is_live(page: Page) -> None:
    """The monitor's socket is found below the path, and a Message comes over it."""
    await expect(page.locator("[data-part=state]")).to_have_text("Connected")
    subscribed = "Number(document.querySelector('#sync-monitor').dataset.subscribed)"
    await page.wait_for_function(f"{subscribed} >= 1")

    await page.fill(".sync-publish textarea", json.dumps({"move": "e4"}))
    await page.click(".sync-publish button[type=submit]")

    row = page.locator("[data-part=rows] code")
    await expect(row).to_have_text(['{"move":"e4"}'])
