"""Fixtures for the client's tests: the npm package, and pages at a site's origin."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, WebSocket

from tests.browser.conftest import complaints, listen
from tests.js.tools import PATIENCE_SECONDS, modules, pack
from tests.programs import DemoSite
from tests.sharing import once

__all__ = ["complaints"]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as npm would publish it, unpacked."""
    return once(tmp_path_factory, "package", pack) / "package"


@pytest.fixture(scope="session")
def npm_modules() -> Path:
    """The npm packages that the tests use."""
    return modules()


class Stage:
    """A page at a site's origin, with files of the test and the site's WebSockets."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.site: DemoSite
        self.give_token: Callable[[], str] = lambda: self.site.account.token()
        self.sockets: list[WebSocket] = []
        self.sent: list[str] = []
        self.received: list[str] = []
        self._news = asyncio.Event()

    async def open(self, site: DemoSite, html: str, files: Path) -> None:
        """Show HTML at the site's origin; *files* are served below ``/app/``."""
        self.site = site
        self.page.on("websocket", self._note_socket)
        await self.page.route("**/app/**", lambda route: self._serve(route, files))
        await self.page.context.route("**/token", self._serve_token)
        # A page that did not come from the network may not connect to this machine.
        await self.page.goto(f"{site.base_url}/livez")
        await self.page.set_content(html)

    async def sees(self, what: Callable[[], bool]) -> None:
        """Wait until something holds of the frames that were sent and received."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not what():
                self._news.clear()
                await self._news.wait()

    async def _serve(self, route: Route, files: Path) -> None:
        name = route.request.url.partition("/app/")[2]
        await route.fulfill(path=files / name)

    async def _serve_token(self, route: Route) -> None:
        await route.fulfill(json={"token": self.give_token()})

    def _note_socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        self._news.set()
        socket.on("framesent", lambda text: self._note_frame(self.sent, text))
        socket.on("framereceived", lambda text: self._note_frame(self.received, text))
        socket.on("close", lambda _: self._news.set())

    def _note_frame(self, types: list[str], text: str | bytes) -> None:
        types.append(json.loads(text)["type"])
        self._news.set()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(browser: Browser, complaints: list[str]) -> AsyncIterator[Stage]:
    """A page that shows the HTML of the test."""
    context = await browser.new_context(bypass_csp=True)
    await context.grant_permissions(["local-network-access"])
    page = await context.new_page()
    listen(page, complaints)
    yield Stage(page)
    await context.close()
