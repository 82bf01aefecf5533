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
    ConsoleMessage,
    Error,
    Page,
    expect,
)

from tests.admin.operator import Operator
from tests.browser.tabs import Tabs
from tests.clients.json_socket import SiteSocket
from tests.programs import ROOT, DemoSite

OpenPage = Callable[..., Awaitable[Page]]

expect.set_options(timeout=20_000)  # a busy machine is not a failure

TAKES_IMAGES = bool(os.environ.get("SCREENSHOTS"))
IMAGES = ROOT / "docs/img"
"""Where the documentation's images are written, ``SCREENSHOTS=1 pytest …``."""

Look = tuple[str, Literal["light", "dark"], int]
LOOKS: list[Look] = [
    ("light", "light", 1280),
    ("dark", "dark", 1280),
    ("phone", "light", 390),
]
"""The looks in which each page is tested: name, colour scheme, width in pixels."""


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A new profile for the test."""
    context = await browser.new_context()
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _visitor(browser: Browser) -> Tabs:
    return Tabs(await browser.new_context())


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(_visitor: Tabs, embedded: DemoSite) -> AsyncIterator[Tabs]:
    """The tabs of a visitor who is not logged in."""
    yield _visitor
    await _visitor.park(f"{embedded.base_url}/livez")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _operator(browser: Browser) -> Tabs:
    return Tabs(await browser.new_context())


@pytest_asyncio.fixture(loop_scope="session")
async def operator(_operator: Tabs, embedded: DemoSite) -> AsyncIterator[Tabs]:
    """The tabs of the site's administrator."""
    if not await _operator.context.cookies():
        await log_in(_operator.context, embedded)
    yield _operator
    await _operator.park(f"{embedded.base_url}/livez")


@pytest_asyncio.fixture(loop_scope="session")
async def admin(operator: Tabs, complaints: list[str]) -> AsyncIterator[Page]:
    """A tab of the administrator; console errors fail the test."""
    page = await operator.take()
    stop = listen(page, complaints)
    yield page
    stop()
    assert complaints == []


async def log_in(context: BrowserContext, site: DemoSite) -> None:
    """Give a profile a session of the site's administrator."""
    session = (await asyncio.to_thread(Operator, site)).session_key
    await context.add_cookies(
        [{"name": "sessionid", "value": session, "url": site.base_url}]
    )


@pytest.fixture
def complaints() -> list[str]:
    """Errors in the console of any page of the test, including CSP violations."""
    return []


def listen(page: Page, complaints: list[str]) -> Callable[[], None]:
    """Collect what the page's console says is wrong; return what ends that."""

    def hear(said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            complaints.append(said.text)

    def catch(error: Error) -> None:
        complaints.append(str(error))

    def stop() -> None:
        page.remove_listener("console", hear)
        page.remove_listener("pageerror", catch)

    page.on("console", hear)
    page.on("pageerror", catch)
    return stop


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(visitor: Tabs, complaints: list[str]) -> AsyncIterator[OpenPage]:
    """Open a URL in a tab of a visitor; console errors fail the test."""
    stops = []

    async def open_url(url: str) -> Page:
        page = await visitor.take()
        stops.append(listen(page, complaints))
        await page.goto(url)
        return page

    yield open_url
    for stop in stops:
        stop()


@pytest.fixture
def open_page(open_tab: OpenPage, embedded: DemoSite) -> OpenPage:
    """Open a tab that watches Streams: ``await open_page("cats,dogs")``."""

    async def open_streams(streams: str) -> Page:
        page = await open_tab(f"{embedded.base_url}/#{streams}")
        await page.locator("#stream-facts code").wait_for()
        return page

    return open_streams


@pytest.fixture(params=LOOKS, ids=[name for name, _, _ in LOOKS])
def look(request: pytest.FixtureRequest) -> Look:
    """Each name, colour scheme and width in turn."""
    look: Look = request.param
    return look


async def take_in(tabs: Tabs, look: Look) -> Page:
    """Return a tab with the colour scheme and the width of the look."""
    _, scheme, width = look
    page = await tabs.take()
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 900})
    return page


async def overflow_of(page: Page, name: str, folder: Path) -> int:
    """Take a screenshot and return by how much the page is wider than the screen."""
    path = (IMAGES if TAKES_IMAGES else folder) / f"{name}.png"
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await page.screenshot(path=path)
    if TAKES_IMAGES and (pngquant := shutil.which("pngquant")):
        options = ["--force", "--ext=.png", "--strip", str(path)]
        await (await asyncio.create_subprocess_exec(pngquant, *options)).wait()
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return int(width)


async def play(site: DemoSite, stream: str, *, seconds: int) -> None:
    """Publish Messages like those of a match, at changing speed."""
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
    """Keep publishing to a Stream, above its rate but below the limit of frames."""

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
    """Subscribe after a few seconds, and read Messages."""
    await asyncio.sleep(after)
    await watcher.ask("subscribe", stream=stream)
    while True:
        await watcher.receive()
