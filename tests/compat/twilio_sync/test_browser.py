"""The SDK's own browser batch in Chromium, on a page of another origin."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page

from tests.compat.twilio_sync.conftest import run_rig
from tests.compat.twilio_sync.rig import Rig, new_name
from tests.compat.twilio_sync.sdk import PACKAGES
from tests.compat.twilio_sync.wire import TIMEOUT_SECONDS
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BUNDLE = PACKAGES / "twilio-sync" / "builds" / "twilio-sync.min.js"
HTML = """<!doctype html><title>App</title><script src="/twilio-sync.min.js"></script>
<script>
  const events = [];
  async function open({ token, uri, renewed, options }) {
    const client = new Twilio.Sync.Client(token, { Twilsock: { uri } });
    client.on("connectionStateChanged", (state) => events.push(state));
    client.on("tokenExpired", async () => {
      events.push("tokenExpired");
      await client.updateToken(renewed);
      events.push("renewed");
    });
    window.stream = await client.stream(options);
    stream.on("messagePublished", ({ message, isLocal }) =>
      events.push({ sid: message.sid, data: message.data, isLocal }));
    stream.on("removed", ({ isLocal }) => events.push({ removed: isLocal }));
    return stream.sid;
  }
</script>"""


async def show_page(request: web.Request) -> web.Response:
    return web.Response(text=HTML, content_type="text/html")


async def send_bundle(request: web.Request) -> web.FileResponse:
    return web.FileResponse(BUNDLE)


class Tab:
    """A page with the SDK."""

    def __init__(self, page: Page, rig: Rig) -> None:
        self.page, self._rig = page, rig

    async def open(self, options: Any, **changes: str) -> str:
        """Create a client, open a Stream and return its SID."""
        arguments = {
            "token": self._rig.token(),
            "uri": self._rig.wire.uri,
            "options": options,
            **changes,
        }
        return str(await self._evaluate("open", arguments))

    async def publish(self, data: Any) -> str:
        publish = "async (data) => (await stream.publishMessage(data)).sid"
        return str(await self._evaluate(publish, data))

    async def _evaluate(self, script: str, argument: Any) -> Any:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.page.evaluate(script, argument)

    async def sees(self, event: Any) -> None:
        """Wait until the page has seen an event."""
        seen = "event => events.some((one) => JSON.stringify(one) === event)"
        text = json.dumps(event, separators=(",", ":"))
        await self.page.wait_for_function(seen, arg=text)


OpenTab = Callable[[], Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session")
async def rig(site: DemoSite, package: str) -> AsyncIterator[Rig]:
    """A wire in the loop of the browser."""
    async with run_rig(site, package) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="session")
async def page_url() -> AsyncIterator[str]:
    """Address of the application's page: another origin than the server's."""
    app = web.Application()
    app.router.add_get("/", show_page)
    app.router.add_get("/twilio-sync.min.js", send_bundle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}/"
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Browser, page_url: str, rig: Rig) -> AsyncIterator[OpenTab]:
    """Open a tab with the page, all of one browser profile."""
    context = await browser.new_context()

    async def open_tab() -> Tab:
        page = await context.new_page()
        await page.goto(page_url)
        return Tab(page, rig)

    yield open_tab
    await context.close()


async def test_two_tabs_of_one_identity_share_a_stream(
    open_tab: OpenTab, rig: Rig
) -> None:
    name = new_name()
    one, two = await open_tab(), await open_tab()
    await one.open(name)
    await two.open(name)
    await rig.wire.subscribed(2)

    mine = await one.publish({"x": 1})
    theirs = await rig.publish(name, {"x": 2})

    await one.sees({"sid": mine, "data": {"x": 1}, "isLocal": True})
    await two.sees({"sid": mine, "data": {"x": 1}, "isLocal": False})
    await one.sees({"sid": theirs, "data": {"x": 2}, "isLocal": False})
    await one.page.evaluate("stream.removeStream()")
    await one.sees({"removed": True})
    await two.sees({"removed": False})


async def test_tab_renews_its_token_by_the_event_of_expiry(
    open_tab: OpenTab, rig: Rig
) -> None:
    name, tab = new_name(), await open_tab()

    await tab.open(name, token=rig.token(ttl=6), renewed=rig.token())
    await tab.sees("renewed")
    await rig.wire.subscribed(2)

    sid = await rig.publish(name, {})
    await tab.sees({"sid": sid, "data": {}, "isLocal": False})


async def test_tab_reconnects_after_it_was_offline(open_tab: OpenTab, rig: Rig) -> None:
    name, tab = new_name(), await open_tab()
    await tab.open(name)
    await rig.wire.subscribed()

    await tab.page.context.set_offline(True)
    await tab.page.wait_for_function("events.at(-1) !== 'connected'")
    await tab.page.context.set_offline(False)
    await rig.wire.subscribed(2)

    sid = await rig.publish(name, {})
    await tab.sees({"sid": sid, "data": {}, "isLocal": False})


async def test_reloaded_tab_does_not_open_a_removed_stream_from_a_cache(
    open_tab: OpenTab, rig: Rig
) -> None:
    name, tab = new_name(), await open_tab()
    sid = await tab.open(name)
    await rig.wire.subscribed()

    await tab.page.reload()
    await rig.rest("DELETE", f"/{sid}")

    assert await tab.open(name) != sid
