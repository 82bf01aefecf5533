"""Fixtures for tests in a real browser: Debian's Chromium, driven by Playwright."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.services import DemoSite

OpenPage = Callable[..., Awaitable[Page]]

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    """A Chromium for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browser_path, headless=True, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A profile of the test's own."""
    context = await browser.new_context()
    yield context
    await context.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the console of any page of the test says is wrong, CSP violations too."""
    return []


def listen(page: Page, complaints: list[str]) -> None:
    """Collect what the page's console says is wrong."""
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text) if said.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))


@pytest.fixture
def open_page(
    context: BrowserContext, embedded: DemoSite, complaints: list[str]
) -> OpenPage:
    """Open a tab that watches Streams: ``await open_page("cats,dogs")``."""

    async def open_tab(streams: str) -> Page:
        page = await context.new_page()
        listen(page, complaints)
        await page.goto(f"{embedded.base_url}/#{streams}")
        await page.locator("#stream-facts code").wait_for()
        return page

    return open_tab
