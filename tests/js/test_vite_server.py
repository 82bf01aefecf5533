"""Vite's development server with the guide's settings, and workers behind it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.documents import code_block
from tests.js.tools import STATIC, App, bundled_node, modules
from tests.programs import DemoSite, Program, free_port

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

GUIDE = "docs/browser-client.md"
TARGET = "http://127.0.0.1:8000"

WORKER = """
import { SyncStreams } from "/sync-streams.js";
onmessage = ({ data: token, source }) => {
  const client = new SyncStreams({ token });
  client.addEventListener("state", ({ detail }) => source.postMessage(detail.state));
};
oninstall = () => skipWaiting();
"""

REGISTER = """
async (token) => {
  navigator.serviceWorker.onmessage = ({ data }) => (document.title = data);
  const options = { type: "module" };
  const { installing } = await navigator.serviceWorker.register("/worker.js", options);
  installing.postMessage(token);
}
"""


@pytest.fixture
def vite(embedded: DemoSite, tmp_path: Path, package: Path) -> Iterator[str]:
    """The origin of a Vite server that forwards to the site, as the guide says."""
    settings = code_block(GUIDE, "ts", "// vite.config.ts")
    files = {
        "vite.config.ts": settings.replace(TARGET, embedded.base_url),
        "main.ts": code_block(GUIDE, "ts", "// main.ts"),
        "token.ts": code_block(GUIDE, "ts", "// token.ts"),
        "index.html": '<script type="module" src="/main.ts"></script>',
    }
    app = App(tmp_path, package, files)
    public = app.folder / "public"
    public.mkdir()
    (public / "worker.js").write_text(WORKER)
    (public / "sync-streams.js").write_bytes((STATIC / "sync-streams.js").read_bytes())
    port = free_port()
    command = [bundled_node(), str(modules() / "vite/bin/vite.js"), str(app.folder)]
    command += ["--config", str(app.folder / "vite.config.ts")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    with Program(*command, ready="Local"):
        yield f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page()
    yield page
    await page.close()


async def test_vites_server_forwards_the_socket(
    page: Page, embedded: DemoSite, vite: str
) -> None:
    await page.route(
        "**/token",
        lambda route: route.fulfill(json={"token": embedded.account.token()}),
    )
    async with page.expect_websocket(lambda socket: "/v1/" in socket.url) as opened:
        await page.goto(vite)
    socket = await opened.value
    frame = await socket.wait_for_event(
        "framereceived", lambda text: '"subscribed"' in text
    )

    assert '"unique_name":"orders"' in frame


async def test_a_service_worker_connects_by_a_relative_address(
    page: Page, embedded: DemoSite, vite: str
) -> None:
    await page.goto(vite)

    await page.evaluate(REGISTER, embedded.account.token())

    await expect(page).to_have_title("connected")


async def test_a_worker_of_a_blob_connects_by_a_relative_address(
    page: Page, embedded: DemoSite, vite: str
) -> None:
    await page.goto(vite)

    await page.evaluate(
        """(token) => {
          const script = `
            import { SyncStreams } from "${location.origin}/sync-streams.js";
            new SyncStreams({ token: "${token}" })
              .addEventListener("state", ({ detail }) => postMessage(detail.state));`;
          const type = "text/javascript";
          const address = URL.createObjectURL(new Blob([script], { type }));
          new Worker(address, { type: "module" }).onmessage =
            ({ data }) => (document.title = data);
        }""",
        embedded.account.token(),
    )

    await expect(page).to_have_title("connected")
