"""Getting started and the tutorials, followed word by word with the built wheel."""

import asyncio
import shutil

import pytest
from playwright.async_api import Browser, expect

from tests.clients.rest import WAIT_SECONDS
from tests.documents import code_block, code_blocks
from tests.js.tools import modules
from tests.site.project import FEED, ORDERS, START, Project, names_file
from tests.site.steps import USERS, in_browser, log_in, with_tutorial

CURSORS = "docs/tutorials/cursors.md"
DASHBOARD = "docs/tutorials/dashboard.md"


def test_a_message_arrives_in_the_second_shell(project: Project) -> None:
    tail = code_block(START, "sh", "sync_tail").splitlines()[-1]
    with project.serve():
        project.shell(code_block(START, "sh", "UniqueName=demo"))
        with project.start(tail, ready="Subscribed to TO") as tailing:
            project.shell(code_block(START, "sh", "/demo/Messages"))
            tailing.wait_for('{"text":"Hello"}')


@in_browser
async def test_both_windows_of_the_feed_receive_a_message(
    project: Project, browser: Browser
) -> None:
    with with_tutorial(project, FEED).serve():
        alice, bob = [await log_in(browser, project, u, "/feed/") for u in USERS]
        for page in (alice, bob):
            await expect(page.locator("#feed li")).to_have_text("You are connected.")

        await alice.fill("#text", "Hello <b>Bob</b>")
        await alice.click("button")

        for page in (alice, bob):
            said = page.locator("#feed li").nth(1)
            await expect(said).to_have_text("alice: Hello <b>Bob</b>")


@in_browser
async def test_status_of_an_order_changes_in_both_windows(
    orders: Project, browser: Browser
) -> None:
    with orders.serve():
        first = await log_in(browser, orders, "alice", "/orders/new/")
        await expect(first.locator("#status")).to_have_text("ordered")
        second = await first.context.new_page()
        await second.goto(first.url)
        foreign = await log_in(browser, orders, "bob", "/orders/new/")
        answer = await foreign.goto(first.url)

        await first.get_by_role("button", name="paid").click()

        for page in (first, second):
            await expect(page.locator("#status")).to_have_text("paid")
        assert answer is not None
        assert answer.status == 404


@in_browser
async def test_pointer_of_one_window_moves_in_the_other(
    project: Project, browser: Browser
) -> None:
    with with_tutorial(project, FEED, CURSORS).serve():
        alice, bob = [await log_in(browser, project, u, "/cursors/") for u in USERS]
        seen = bob.locator(".cursor")

        async with asyncio.timeout(WAIT_SECONDS):
            while not await seen.count():  # before Bob is subscribed, moves are lost
                await alice.mouse.move(100, 100)
                await alice.mouse.move(200, 150)

        await expect(seen).to_have_text("➤ alice")
        await expect(alice.locator(".cursor")).to_have_count(0)


@in_browser
async def test_dashboard_shows_changes_from_elsewhere(
    orders: Project, browser: Browser
) -> None:
    (orders.folder / "static").mkdir()
    shutil.copy(modules() / "htmx.org/dist/htmx.js", orders.folder / "static/htmx.js")
    with with_tutorial(orders, DASHBOARD).serve():
        alice = await log_in(browser, orders, "alice", "/orders/new/")
        await expect(alice.locator("#status")).to_have_text("ordered")
        order = alice.url
        await alice.goto(f"http://{orders.origin}/dashboard/")
        bob = await log_in(browser, orders, "bob", "/dashboard/")
        statuses = bob.locator("#orders td:nth-child(3)")
        await expect(statuses).to_have_text("ordered")

        await alice.get_by_role("button", name="send").click()

        await expect(statuses).to_have_text("sent")
        await alice.goto(order)
        await expect(alice.locator("#status")).to_have_text("sent")


@pytest.mark.parametrize(
    ("containing", "head"),
    [("ProtocolTypeRouter", "import os\n"), ("SYNC_STREAMS = {", "ASGI_APPLICATION")],
)
def test_getting_started_agrees_with_the_readme(containing: str, head: str) -> None:
    start, readme = (
        code_block(document, "python", containing) for document in (START, "README.md")
    )

    # Above it they name files and list apps in their own ways.
    assert start.partition(head)[2] == readme.partition(head)[2] != ""


SHELLS = {START: 6, FEED: 2, ORDERS: 3, CURSORS: 0, DASHBOARD: 0}


@pytest.mark.parametrize("document", SHELLS)
def test_every_block_is_followed(document: str) -> None:
    assert len(code_blocks(document, "sh")) == SHELLS[document]
    for language in ("python", "html"):
        assert all(map(names_file, code_blocks(document, language)))
