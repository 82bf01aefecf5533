"""React, Vue and htmx in Chromium: the guide's own code, on a real server."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.clients.rest import call, post, publish
from tests.conftest import StartSite
from tests.documents import code_block
from tests.js.conftest import Stage
from tests.js.tools import FOLDER, STATIC, App
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

GUIDE = "docs/browser-client.md"
RETURN_MS = 60_000
PAGE = '<div id="app"></div><script type="module" src="app/client.js"></script>'
ORDERS = "/default/Streams/orders"


def guide(language: str, name: str) -> str:
    return code_block(GUIDE, language, f" {name}")


@pytest.fixture(scope="session")
def react(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """The guide's React app, built with StrictMode in effect."""
    files = {"main.tsx": guide("tsx", "main.tsx"), "token.ts": guide("ts", "token.ts")}
    files["index.html"] = PAGE.replace("app/client.js", "./main.tsx")
    app = App(tmp_path_factory.mktemp("react"), package, files)
    return with_script_named(app.build(mode="development"))


@pytest.fixture(scope="session")
def mounting(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """A React app that mounts and unmounts parts, built with StrictMode in effect."""
    files = {
        "main.tsx": (FOLDER / "mounting.tsx").read_text(),
        "index.html": PAGE.replace("app/client.js", "./main.tsx"),
    }
    app = App(tmp_path_factory.mktemp("mounting"), package, files)
    app.check_types()
    return with_script_named(app.build(mode="development"))


@pytest.fixture(scope="session")
def vue(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """The guide's Vue app."""
    files = {
        "main.ts": guide("ts", "vue.ts"),
        "token.ts": guide("ts", "token.ts"),
        "Orders.vue": guide("vue", "Orders.vue"),
        "index.html": PAGE.replace("app/client.js", "./main.ts"),
    }
    return with_script_named(
        App(tmp_path_factory.mktemp("vue"), package, files).build()
    )


def with_script_named(dist: Path) -> Path:
    """Rename the only script of a build as the page expects."""
    [script] = (dist / "assets").glob("*.js")
    shutil.copy(script, dist / "client.js")
    return dist


async def publishes_by_its_button(stage: Stage) -> None:
    """Wait until the app is subscribed; it publishes once, and shows the Message."""
    await expect(stage.page.locator("#state")).to_have_text("connected · subscribed")
    await stage.page.get_by_role("button").click()
    await expect(stage.page.locator("li")).to_have_text(["7: paid"])


async def test_strict_mode_opens_one_connection_and_one_subscription(
    stage: Stage, embedded: DemoSite, react: Path, complaints: list[str]
) -> None:
    await stage.open(embedded, PAGE, react)
    await publishes_by_its_button(stage)
    publish(embedded, "orders", {"id": 8, "status": "sent"})
    await expect(stage.page.locator("li")).to_have_text(["7: paid", "8: sent"])
    assert len(stage.sockets) == stage.sent.count("connect") == 1
    assert complaints == []


async def test_mounting_in_react_subscribes_and_unmounting_closes(
    stage: Stage, embedded: DemoSite, mounting: Path, complaints: list[str]
) -> None:
    page, shown = stage.page, stage.page.locator("#stream")
    await stage.open(embedded, PAGE, mounting)
    await expect(shown).to_have_text("connected  subscribing  ")

    await page.get_by_text("first").click()
    await expect(shown).to_have_text("connected first subscribed  ")
    for number in (1, 2, 3):
        publish(embedded, "first", {"n": number})
    await expect(shown).to_have_text("connected first subscribed 3 2+3")

    await page.get_by_text("second").click()
    await expect(shown).to_have_text("connected second subscribed  ")
    await stage.sees(lambda: stage.received.count("unsubscribed") == 1)

    await page.get_by_text("address").click()
    await stage.sees(lambda: stage.received.count("subscribed") == 3)
    await stage.sees(lambda: stage.sockets[0].is_closed())
    assert len(stage.sockets) == 2

    await page.get_by_text("toggle").click()
    await stage.sees(lambda: all(socket.is_closed() for socket in stage.sockets))
    await page.get_by_text("toggle").click()
    await expect(shown).to_have_text("connected second subscribed  ")
    assert len(stage.sockets) == 3
    assert complaints == []


async def test_a_double_mount_in_strict_mode_on_an_open_connection_gets_messages(
    stage: Stage, embedded: DemoSite, mounting: Path
) -> None:
    shown = stage.page.locator("#stream")
    await stage.open(embedded, PAGE, mounting)
    await expect(shown).to_have_text("connected  subscribing  ")

    await stage.page.get_by_text("late").click()
    await expect(shown).to_have_text("connected late subscribed  ")

    publish(embedded, "late", {"n": 1})
    await expect(shown).to_have_text("connected late subscribed 1 1")
    assert stage.sent.count("subscribe") == 2
    assert "unsubscribe" not in stage.sent


async def test_a_react_app_returns_to_a_server_that_was_killed(
    stage: Stage, start_site: StartSite, react: Path
) -> None:
    site = start_site()
    await stage.open(site, PAGE, react)
    state = stage.page.locator("#state")
    await expect(state).to_have_text("connected · subscribed")
    gaps: list[str] = []
    stage.page.on("console", lambda said: gaps.append(said.text))

    site.stop(signal.SIGKILL)
    await expect(state).to_contain_text("reconnecting")
    site.start()

    await expect(state).to_have_text("connected · subscribed", timeout=RETURN_MS)
    await stage.page.get_by_role("button").click()
    await expect(stage.page.locator("li")).to_have_text(["7: paid"])
    assert gaps.count("catch up") == 1


async def test_a_react_app_is_notified_of_a_removed_stream(
    stage: Stage, start_site: StartSite, react: Path
) -> None:
    site = start_site()
    await stage.open(site, PAGE, react)
    await expect(stage.page.locator("#state")).to_have_text("connected · subscribed")

    call(site, "DELETE", ORDERS)

    await expect(stage.page.locator("#state")).to_have_text("connected · removed")


async def test_a_react_app_shows_why_its_token_was_refused(
    stage: Stage, embedded: DemoSite, react: Path, complaints: list[str]
) -> None:
    stage.give_token = lambda: "no token"
    await stage.open(embedded, PAGE, react)

    await expect(stage.page.locator("#state")).to_contain_text("closed · token invalid")
    assert [text for text in complaints if text.startswith("sync-streams")] == [
        "sync-streams: Invalid Access Token"
    ]
    assert len(stage.sockets) == 2, "the token is asked for once more, and not again"


async def test_a_vue_app_subscribes_and_publishes(
    stage: Stage, embedded: DemoSite, vue: Path, complaints: list[str]
) -> None:
    await stage.open(embedded, PAGE, vue)
    await publishes_by_its_button(stage)
    assert complaints == []


TARGETS = """
<title>page</title>
<script src="/app/htmx.js"></script>
<script type="module">
  import { extend } from "/static/sync_streams/sync-streams-htmx.js";
  import { SyncStreams } from "/static/sync_streams/sync-streams.js";
  const { token } = await (await fetch("/token", { method: "POST" })).json();
  extend(htmx, new SyncStreams({ token }));
</script>
<ol><li sync-stream="orders" sync-mode="open_or_create" sync-swap="html"
        hx-target="closest ol" hx-swap="beforeend"></li></ol>
<p sync-stream="orders" sync-swap="html" hx-target="next ul"></p><ul></ul>
<p sync-stream="orders" sync-swap="html" hx-target="next dl"></p>
"""


@pytest.mark.parametrize("htmx", ["htmx.org", "htmx-4"])
async def test_htmx_finds_the_target(
    stage: Stage,
    embedded: DemoSite,
    npm_modules: Path,
    htmx: str,
    complaints: list[str],
) -> None:
    page = stage.page
    await stage.open(embedded, TARGETS, npm_modules / htmx / "dist")
    await stage.sees(lambda: stage.received.count("subscribed") == 3)

    publish(embedded, "orders", {"html": "<li>news</li>"})

    await expect(page.locator("ol li:not([sync-stream])")).to_have_text(["news"])
    await expect(page.locator("ul li")).to_have_text(["news"])
    [complaint] = complaints
    assert "hx-target" in complaint


@pytest.mark.parametrize("htmx", ["htmx.org", "htmx-4"])
async def test_an_htmx_page_fetches_and_swaps(
    stage: Stage,
    embedded: DemoSite,
    npm_modules: Path,
    htmx: str,
    complaints: list[str],
) -> None:
    page, answers = stage.page, iter(["<b>one order</b>", "<b>two orders</b>"])
    await page.route(
        "**/static/htmx.js",
        lambda route: route.fulfill(path=npm_modules / htmx / "dist/htmx.js"),
    )
    await page.route(
        "**/orders/",
        lambda route: route.fulfill(content_type="text/html", body=next(answers)),
    )
    await stage.open(embedded, code_block(GUIDE, "html", "hx-get"), STATIC)
    for count, text in enumerate(("one order", "two orders"), start=1):
        await stage.sees(lambda: stage.received.count("subscribed") == 2)
        data = json.dumps({"html": f"<li>news {count}</li>"})
        post(embedded, f"{ORDERS}/Messages", Data=data)
        await expect(page.locator("section b")).to_have_text(text)
        await expect(page.locator("#news li").first).to_have_text(f"news {count}")
    await expect(page.locator("#news li")).to_have_count(2)
    assert "unsubscribe" not in stage.sent

    await page.evaluate("document.querySelector('section').remove()")
    await page.evaluate("document.querySelector('#news').remove()")

    await stage.sees(lambda: stage.received.count("unsubscribed") == 1)
    assert complaints == []
