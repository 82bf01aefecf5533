"""Fixtures for tests in a real browser: Debian's Chromium, driven by Playwright."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
)

from tests.browser.chromium import launched
from tests.clients.json_socket import SiteSocket
from tests.programs import ROOT, DemoSite

OpenPage = Callable[..., Awaitable[Page]]

expect.set_options(timeout=20_000)  # a busy machine is no failure

TAKES_IMAGES = bool(os.environ.get("SCREENSHOTS"))
IMAGES = ROOT / "docs/img"
"""Where the documentation's images are written, ``SCREENSHOTS=1 pytest …``."""

Look = tuple[str, Literal["light", "dark"], int]
LOOKS: list[Look] = [
    ("light", "light", 1280),
    ("dark", "dark", 1280),
    ("phone", "light", 390),
]
"""How each page is looked at: a name, a colour scheme, the width in pixels."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    """A Chromium for all tests."""
    async with launched(browser_path) as browser:
        yield browser


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
        page = await new_tab(context, complaints, f"{embedded.base_url}/#{streams}")
        await page.locator("#stream-facts code").wait_for()
        return page

    return open_tab


async def new_tab(context: BrowserContext, complaints: list[str], url: str) -> Page:
    """Open a page in a tab that must not complain of anything."""
    page = await context.new_page()
    listen(page, complaints)
    await page.goto(url)
    return page


@pytest.fixture(params=LOOKS, ids=[name for name, _, _ in LOOKS])
def look(request: pytest.FixtureRequest) -> Look:
    """Each name, colour scheme and width in turn."""
    look: Look = request.param
    return look


@pytest_asyncio.fixture(loop_scope="session")
async def in_look(browser: Browser, look: Look) -> AsyncIterator[BrowserContext]:
    """A profile with the colour scheme and the width of the look."""
    _, scheme, width = look
    size = ViewportSize(width=width, height=900)
    context = await browser.new_context(color_scheme=scheme, viewport=size)
    yield context
    await context.close()


async def overflow_of(page: Page, name: str, folder: Path) -> int:
    """Take the page's picture and return how far it is wider than the screen."""
    path = (IMAGES if TAKES_IMAGES else folder) / f"{name}.png"
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await page.screenshot(path=path)
    if TAKES_IMAGES and (pngquant := shutil.which("pngquant")):
        options = ["--force", "--ext=.png", "--strip", str(path)]
        await (await asyncio.create_subprocess_exec(pngquant, *options)).wait()
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return int(width)


async def play(site: DemoSite, stream: str, *, seconds: int) -> None:
    """Publish what looks like a match, faster and slower."""
    async with SiteSocket(site, "watcher") as watcher, SiteSocket(site) as referee:
        watching = asyncio.create_task(watch(watcher, stream, after=seconds // 3))
        for second in range(seconds):
            for number in range(2 + second * 7 % 12):
                data = {"minute": second, "event": "pass", "player": number}
                await referee.ask("publish", stream=stream, data=data)
            await asyncio.sleep(0.9)
        watching.cancel()


@asynccontextmanager
async def crowd(site: DemoSite, stream: str) -> AsyncIterator[None]:
    """Publish to a Stream all the time, more than it takes and less than is closed."""

    async def publish() -> None:
        async with SiteSocket(site, "crowd") as socket:
            while True:
                await socket.ask("publish", stream=stream, data={})
                await asyncio.sleep(0.005)

    publishing = asyncio.create_task(publish())
    yield
    publishing.cancel()
    with suppress(asyncio.CancelledError):
        await publishing


async def watch(watcher: SiteSocket, stream: str, *, after: int) -> None:
    """Subscribe after some seconds, and read what arrives."""
    await asyncio.sleep(after)
    await watcher.ask("subscribe", stream=stream)
    while True:
        await watcher.receive()
