"""docs/browser-client.md: its scripts, run in Chromium and Node, and its tables."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from sync_streams import errors
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import publish
from tests.conftest import StartSite
from tests.documents import EXAMPLE_ORIGIN, ROOT, code_block
from tests.js.conftest import Stage
from tests.js.tools import PATIENCE_SECONDS, STATIC, App, bundled_node, system_node
from tests.programs import DemoSite

GUIDE = "docs/browser-client.md"

TWO_VERSIONS = """
<title>start</title><ul></ul>
<script type="module">
  import { SyncStreams } from "/static/sync_streams/sync-streams.js";
  import { SyncStreams as Other } from "/static/sync_streams/sync-streams.min.js";

  const { token } = await (await fetch("/token", { method: "POST" })).json();
  const show = ({ detail }) => {
    const item = document.createElement("li");
    item.textContent = detail.data.id;
    document.querySelector("ul").append(item);
  };
  for (const each of [SyncStreams, Other]) {
    const client = new each({ token });
    const stream = client.subscribe("versions", { mode: "open_or_create" });
    stream.addEventListener("message", show);
  }
</script>
"""

in_chromium = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def page_of(name: str) -> str:
    """Return a page that runs one of the guide's scripts, for Chromium."""
    imports = {"@sync-streams/client": "/static/sync_streams/sync-streams.js"}
    token = "(await (await fetch('/token', { method: 'POST' })).json()).token"
    return f"""
      <title>start</title>
      <script type="importmap">{json.dumps({"imports": imports})}</script>
      <script>const fetchToken = async () => {token};</script>
      <script type="module">{code_block(GUIDE, "js", f"// {name}")}</script>
    """


class TestInChromium:
    pytestmark = in_chromium

    async def test_the_plain_page_gets_messages(
        self, stage: Stage, embedded: DemoSite
    ) -> None:
        await stage.open(embedded, code_block(GUIDE, "html", "fetchToken"), STATIC)
        await stage.sees(lambda: "subscribed" in stage.received)

        async with stage.page.expect_console_message() as message:
            publish(embedded, "orders", {"id": 1})

        assert (await message.value).text == "{id: 1}"

    async def test_a_wrong_path_is_reported_once_in_the_console(
        self, stage: Stage, embedded: DemoSite, complaints: list[str]
    ) -> None:
        page = page_of("session.js").replace(
            "token: fetchToken", "token: fetchToken, url: '/nowhere', backoff: 1"
        )
        await stage.open(embedded, page, STATIC)
        await stage.sees(lambda: len(stage.sockets) >= 4)

        [text] = [each for each in complaints if each.startswith("sync-streams")]
        place = f"{embedded.websocket_url}/nowhere"
        assert text.startswith(f"sync-streams: Cannot connect to {place}: ")
        assert "wrong path" in text

    async def test_two_versions_in_one_page_do_not_interfere(
        self, stage: Stage, embedded: DemoSite, complaints: list[str]
    ) -> None:
        await stage.open(embedded, TWO_VERSIONS, STATIC)
        await stage.sees(lambda: stage.received.count("subscribed") == 2)

        publish(embedded, "versions", {"id": 1})

        await expect(stage.page.locator("li")).to_have_text(["1", "1"])
        assert len(stage.sockets) == 2
        assert complaints == []

    async def test_the_worker_connects(self, stage: Stage, embedded: DemoSite) -> None:
        script = code_block(GUIDE, "js", "// worker.js")
        await stage.page.context.route(
            "**/static/worker.js",
            lambda route: route.fulfill(body=script, content_type="text/javascript"),
        )
        await stage.open(embedded, "<title>start</title>", STATIC)

        await stage.page.evaluate(
            """() => { new Worker("/static/worker.js", { type: "module" })
                 .onmessage = ({ data }) => (document.title = data); }"""
        )

        await expect(stage.page).to_have_title("connected")

    async def test_a_logged_out_user_is_not_connected_again(
        self, stage: Stage, embedded: DemoSite
    ) -> None:
        await stage.page.route("**/token", lambda route: route.fulfill(status=403))
        await stage.open(embedded, page_of("session.js"), STATIC)

        await expect(stage.page).to_have_title("closed: Logged out")
        assert stage.sockets == []

    async def test_a_cached_token_that_was_refused_is_not_used_again(
        self, stage: Stage, embedded: DemoSite
    ) -> None:
        tokens = iter(["lapsed", embedded.account.token()])
        stage.give_token = lambda: next(tokens)
        await stage.open(embedded, page_of("session.js"), STATIC)

        await expect(stage.page).to_have_title("connected")
        assert len(stage.sockets) == 2

    async def test_a_counter_catches_up_after_a_restart(
        self, stage: Stage, start_site: StartSite
    ) -> None:
        site, totals = start_site(), iter([5, 100])
        await stage.page.route(
            "**/total/", lambda route: route.fulfill(json={"total": next(totals)})
        )
        await stage.open(site, page_of("gap.js"), STATIC)
        await stage.sees(lambda: "subscribed" in stage.received)
        publish(site, "counter", {"add": 2})
        await expect(stage.page).to_have_title("7")

        await asyncio.to_thread(site.restart)

        await stage.sees(lambda: stage.received.count("subscribed") == 2)
        publish(site, "counter", {"add": 1})
        await expect(stage.page).to_have_title("101")

    async def test_more_messages_than_the_rate_allows_are_all_published(
        self, stage: Stage, embedded: DemoSite
    ) -> None:
        await stage.open(embedded, page_of("publish.js"), STATIC)

        await expect(stage.page).to_have_title("40 published")
        assert stage.received.count("published") == 40


@pytest.mark.parametrize("node", [system_node, bundled_node], ids=["machine", "new"])
async def test_the_node_script_gets_a_message(
    embedded: DemoSite, tmp_path: Path, package: Path, node: object
) -> None:
    assert callable(node)
    script = code_block(GUIDE, "js", "// node.mjs")
    origin = embedded.base_url.removeprefix("http://")
    files = {"node.mjs": script.replace(EXAMPLE_ORIGIN, origin)}
    app = App(tmp_path, package, files)
    process = await asyncio.create_subprocess_exec(
        node(),
        app.folder / "node.mjs",
        env={"SYNC_TOKEN": embedded.account.token()},
        stdout=asyncio.subprocess.PIPE,
    )

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream="orders", mode="open_or_create")
    running = asyncio.create_task(process.communicate())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not running.done():  # before it subscribes, Messages are lost
            publish(embedded, "orders", {"id": 3})
            await asyncio.wait([running], timeout=0.5)

    assert (await running)[0] == b'{"id":3}\n'


def rows_below(heading: str) -> list[list[str]]:
    """Return the cells of the table below a line of the guide that contains a text."""
    text = (ROOT / GUIDE).read_text()
    table = text.partition(heading)[2].partition("|---")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def declared(name: str) -> set[str]:
    """Return the members of an interface in the client's types."""
    text = (STATIC / "sync-streams.d.ts").read_text()
    match = re.search(rf"interface {name}\b[^\n]*\{{\n(.*?)^\}}", text, re.M | re.S)
    assert match
    return set(re.findall(r"^  (?:readonly )?(\w+)\??:", match[1], re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "interface"),
    [
        ("`new SyncStreams(options)`:", "Options"),
        ("`client.subscribe(ref, options)`", "SubscribeOptions"),
        ("`client.publish(ref, data, options)`", "PublishOptions"),
        ("the details are in `event.detail`", "ClientEvents"),
        ("unless a listener calls", "SubscriptionEvents"),
    ],
)
def test_the_guide_lists_every_option_and_event(heading: str, interface: str) -> None:
    listed = {row[0].strip("`") for row in rows_below(heading)}

    assert listed == declared(interface)


def test_the_guides_defaults_are_those_of_the_client() -> None:
    source = (STATIC / "sync-streams.js").read_text()
    listed = {row[0].strip("`"): row[1] for row in rows_below("`new SyncStreams(o")}

    defaults = re.findall(r"^  (\w+): (\d+),", source, re.MULTILINE)
    assert len(defaults) == 5
    for name, value in defaults:
        assert listed[name].removesuffix(" ms").replace(",", "") == value


def classes(base: type[errors.SyncError]) -> set[type[errors.SyncError]]:
    below = {each for sub in base.__subclasses__() for each in classes(sub)}
    return {base, *below}


def test_the_guides_errors_are_those_of_the_server() -> None:
    known = {
        each.code: each for each in classes(errors.SyncError) if hasattr(each, "code")
    }
    rows = [row for row in rows_below("## Errors") if row[0] != "0"]

    for codes, status, temporary, retry_after, _ in rows:
        first, _, last = codes.partition("–")
        for code in range(int(first), int(last or first) + 1):
            error = known[code]
            is_temporary = error.status in {429, 500, 503}
            is_temporary &= error is not errors.TooManySubscriptions
            assert str(error.status) == status
            assert temporary == ("yes" if is_temporary else "no")
            assert bool(retry_after) == (error is errors.RateLimited)
