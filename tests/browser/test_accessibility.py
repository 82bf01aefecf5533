"""The pages under axe-core: no finding that it calls serious or critical.

Not those of the admin that are Django's alone, such as the form to add a Stream:
axe-core finds fault with its widgets.
"""

from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.clients.rest import publish
from tests.programs import ROOT, DemoSite, cannot_have

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = ROOT / "tests/compat/node_modules/axe-core/axe.min.js"
RUN = "axe.run(document, {resultTypes: ['violations'], preload: false})"
"""None of the rules in use reads the style sheets, which would be loaded again."""

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
ADMIN = "/admin/sync_streams"
PAGES = ("change", "monitor", "delete", "history")


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core."""
    if not AXE.exists():
        cannot_have("npm's axe-core")
    return AXE.read_text(encoding="utf-8")


async def findings(page: Page, axe: str) -> list[str]:
    await page.evaluate(axe)
    return await run_axe(page)


async def findings_in_both_schemes(page: Page, axe: str) -> list[str]:
    await page.evaluate(axe)
    found = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += await run_axe(page)
    return found


async def run_axe(page: Page) -> list[str]:
    result = await page.evaluate(RUN)
    return [
        f"{page.url}: {violation['id']}: {violation['nodes'][0]['html']}"
        for violation in result["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


async def first_of(page: Page, site: DemoSite, model: str) -> str:
    """Return the address of the first resource in a list, without its last segment."""
    await page.goto(f"{site.base_url}{ADMIN}/{model}/")
    await page.click("#result_list tbody th a >> nth=0")
    return page.url.removesuffix("change/")


async def test_no_page_of_the_admin_has_serious_findings(
    admin: Page, embedded: DemoSite, axe: str
) -> None:
    stream = await first_of(admin, embedded, "stream")
    service = await first_of(admin, embedded, "service")
    pages = [f"{embedded.base_url}{ADMIN}/{model}/" for model in ("stream", "service")]
    names = ("processes", "connections", "overview")
    pages += [f"{pages[1]}{name}/" for name in names]
    pages += [f"{service}disconnect/", f"{embedded.base_url}{ADMIN}/"]
    pages += [f"{embedded.base_url}/admin/"]
    pages += [f"{base}{name}/" for base in (stream, service) for name in PAGES]

    found = []
    for url in pages:
        await admin.goto(url)
        found += await findings(admin, axe)

    assert found == []


async def test_the_console_has_no_serious_findings(
    open_page: OpenPage, embedded: DemoSite, axe: str
) -> None:
    page = await open_page("one,another")

    publish(embedded, "one", {"text": "Hello", "n": [1, True, None]})
    await expect(page.locator("#messages code")).to_be_visible()

    assert await findings_in_both_schemes(page, axe) == []


async def test_the_shared_pointers_have_no_serious_findings(
    open_tab: OpenPage, embedded: DemoSite, axe: str
) -> None:
    page = await open_tab(f"{embedded.base_url}/cursors#legible")

    await page.locator("#stage").press("ArrowRight")
    await expect(page.locator(".pointer")).to_be_visible()

    assert await findings_in_both_schemes(page, axe) == []
