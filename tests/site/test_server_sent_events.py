"""docs/server-sent-events.md, followed word by word on top of the tutorial."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.documents import code_block, code_blocks
from tests.js.tools import modules
from tests.programs import free_port
from tests.site.project import Project, names_file
from tests.site.steps import in_browser, log_in, with_tutorial

GUIDE = "docs/server-sent-events.md"
LISTEN = """() => { window.closing = new Promise((resolve) =>
  events.addEventListener("closing", ({ data }) => resolve(JSON.parse(data)))) }"""


@pytest.fixture(scope="module")
def followed(
    ordered: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """The served project after the tutorial and the guide, with htmx's scripts."""
    folder = tmp_path_factory.mktemp("followed")
    shutil.copytree(ordered, folder, dirs_exist_ok=True)
    static = folder / "static"
    static.mkdir()
    shutil.copy(modules() / "htmx.org/dist/htmx.js", static)
    shutil.copy(modules() / "htmx-ext-sse/dist/sse.js", static)
    project = with_tutorial(Project(folder, environment, free_port()), GUIDE)
    with project.serve():
        yield project


async def order(browser: Browser, project: Project) -> Page:
    """Let alice log in and order; return the page that follows her order."""
    page = await log_in(browser, project, "alice", "/orders/new/")
    await expect(page.locator("#status")).to_have_text("ordered")
    return page


def number_of(order: Page) -> str:
    """Return the number of the order on a page: other tests order here, too."""
    return order.url.rstrip("/").rpartition("/")[2]


@in_browser
async def test_pages_without_a_client_library_follow_an_order(
    followed: Project, browser: Browser
) -> None:
    first = await order(browser, followed)
    plain, htmx = [await first.context.new_page() for _ in range(2)]
    # A client with a response is subscribed.
    async with plain.expect_response(lambda got: "/events/order-" in got.url):
        await plain.goto(f"{first.url}plain/")
    async with (
        htmx.expect_response(lambda got: "/events/order-" in got.url),
        htmx.expect_response(lambda got: got.url.endswith("/events/")),
    ):
        await htmx.goto(f"{first.url}htmx/")
    curl = code_block(GUIDE, "sh", "curl").replace("curl -N", "curl -siN")
    curl = curl.replace("/order-1/", f"/order-{number_of(first)}/")
    with followed.start(curl, ready="text/event-stream") as reading:
        await first.get_by_role("button", name="paid").click()

        for page in (first, plain, htmx):
            await expect(page.locator("#status")).to_have_text("paid")
        await expect(htmx.locator("li")).to_have_text(["paid"])
        reading.wait_for('"data":{"status":"paid"}')

    await plain.evaluate(LISTEN)
    await first.goto(f"http://{followed.origin}/admin/")
    await first.get_by_role("button", name="Log out").click()
    assert (await plain.evaluate("closing"))["reason"] == "disconnected"


@in_browser
async def test_orders_of_others_stay_closed(
    followed: Project, browser: Browser
) -> None:
    alice = await order(browser, followed)
    bob = await log_in(browser, followed, "bob", "/orders/new/")
    path = alice.url.removeprefix(f"http://{followed.origin}")

    addresses = [f"/events/order-{number_of(alice)}/", f"{path}events/", f"{path}htmx/"]
    statuses = [
        (await bob.request.get(f"http://{followed.origin}{address}")).status
        for address in addresses
    ]

    assert statuses == [403, 403, 404]


def test_every_block_is_followed() -> None:
    for language in ("python", "html"):
        blocks = code_blocks(GUIDE, language)
        assert blocks
        assert all(map(names_file, blocks))
    assert len(code_blocks(GUIDE, "sh")) == 1
    assert not code_blocks(GUIDE, "js")
