"""The live monitor in a real browser: what it shows, and what it leaves out."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from sync_streams.operations.data import MAX_DEPTH
from tests.browser.conftest import log_in
from tests.browser.tabs import Tabs
from tests.browser.test_admin import (
    ADMIN,
    HOSTILE,
    is_subscribed,
    open_monitor,
    publish,
    watch,
)
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROWS = "[data-part=rows] li:not([hidden]) code"


async def new_service(site: DemoSite, *names: str) -> str:
    created = await asyncio.to_thread(post, site, "")
    for name in names:
        path = f"/{created['sid']}/Streams"
        await asyncio.to_thread(post, site, path, UniqueName=name)
    return str(created["sid"])


async def show(page: Page, site: DemoSite, *messages: object) -> str:
    """Open the monitor of a new Stream and let it show Messages; return the SID."""
    sid = await watch(page, site)
    for message in messages:
        await publish(site, sid, message)
    await expect(page.locator(ROWS)).to_have_count(len(messages))
    return sid


async def test_monitor_counts_others_and_not_itself(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await show(admin, embedded)
    count = admin.locator("[data-chart=subscribers] output")
    await expect(count).to_have_text("0")

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)
        await expect(count).to_have_text("1")


async def test_empty_monitor_says_that_it_waits_for_messages(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await show(admin, embedded)
    empty = admin.locator("[data-part=empty]")
    await expect(empty).to_have_text("Waiting for messages …")

    await admin.click("[data-part=pause]")
    await expect(empty).to_contain_text("Paused")
    await admin.click("[data-part=pause]")
    await publish(embedded, sid, {"n": 1})
    await expect(empty).to_be_hidden()
    await admin.fill("[data-part=filter]", "nowhere")

    await expect(empty).to_have_text("No message on screen matches the filter")


FIRST = {"player": {"name": "Ada"}, "n": 1}
SECOND = {"n": 2, "list": [{"deep": True}]}
FILTERS: dict[str, list[Any]] = {
    "$.player.name": [FIRST],
    "$.n >= 2": [SECOND],
    '$.player.name = "Ada"': [FIRST],
    "$.list[0].deep = true": [SECOND],
    "$.player.name = Ada": [FIRST],
    "$.__proto__": [],
    '$["n"] != 1': [SECOND],
    "$.player.constructor": [],
    "$.player ~ ada": [FIRST],
    "$.n = {": [],
}
"""Paths, and the rows that they show; each differs from the previous one."""


async def test_a_path_filters_by_the_data(
    admin: Page, embedded: DemoSite, subtests: pytest.Subtests
) -> None:
    await show(admin, embedded, FIRST, SECOND)

    for text, shown in FILTERS.items():
        with subtests.test(text):
            await admin.fill("[data-part=filter]", text)

            rows = [json.dumps(data, separators=(",", ":")) for data in shown]
            await expect(admin.locator(ROWS)).to_have_text(rows)


async def test_invalid_path_is_reported_and_hides_nothing(
    admin: Page, embedded: DemoSite
) -> None:
    await show(admin, embedded, {"n": 1})
    problem = admin.locator("[data-part=filter-problem]")

    await admin.fill("[data-part=filter]", "$.n[")

    await expect(problem).to_be_visible()
    await expect(admin.locator(ROWS)).to_have_count(1)
    await admin.fill("[data-part=filter]", "$.n")
    await expect(problem).to_be_hidden()


async def test_pinned_message_outlives_clearing_by_keyboard_alone(
    admin: Page, embedded: DemoSite
) -> None:
    await show(admin, embedded, {"keep": 1})
    await admin.locator("[data-part=rows] summary").first.focus()
    await admin.keyboard.press("Enter")
    await expect(admin.get_by_role("button", name="Pin")).to_be_visible()
    await admin.keyboard.press("Tab")
    await admin.keyboard.press("Tab")

    await admin.keyboard.press("Enter")
    await admin.click("[data-part=clear]")

    pinned = admin.locator("[data-part=pinned]")
    await expect(pinned.locator("summary code")).to_have_text('{"keep":1}')
    unpin = pinned.get_by_role("button", name="Unpin")
    await unpin.press("Enter")
    await expect(pinned).to_be_hidden()


async def test_message_is_published_again_from_the_form(
    admin: Page, embedded: DemoSite
) -> None:
    await show(admin, embedded, {"move": "e4"})
    await admin.locator("[data-part=rows] summary").first.click()

    await admin.get_by_role("button", name="Publish again").click()
    await admin.keyboard.press("Enter")

    await expect(admin.locator(ROWS)).to_have_text(['{"move":"e4"}'] * 2)


async def test_export_contains_each_message_on_screen_as_a_line(
    admin: Page, embedded: DemoSite
) -> None:
    hostile = {HOSTILE: "\n", "__proto__": {"n": 1}}
    sid = await show(admin, embedded, {"skip": 1}, hostile)
    await admin.fill("[data-part=filter]", "script")

    async with admin.expect_download() as downloading:
        await admin.click("[data-part=export]")
    path = await (await downloading.value).path()

    (line,) = path.read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["data"] == hostile
    assert row["stream_sid"] == sid
    assert row["sid"].startswith("TZ")


async def test_deeply_nested_message_is_opened_pinned_filtered_and_exported(
    admin: Page, embedded: DemoSite
) -> None:
    nested: Any = [1] * 1900  # close to 4 KiB, indented to a hundred times that
    for _ in range(MAX_DEPTH - 2):
        nested = [nested]
    hostile = {"__proto__": {"polluted": 1}, "constructor": nested}
    sid = await watch(admin, embedded)
    await publish(embedded, sid, hostile)
    await admin.locator("[data-part=rows] summary").first.click()
    await expect(admin.locator("[data-part=rows] pre")).to_contain_text("polluted")
    await admin.get_by_role("button", name="Pin").click()
    await admin.fill("[data-part=filter]", "$.__proto__.polluted = 1")
    async with admin.expect_download() as downloading:
        await admin.click("[data-part=export]")
    path = await (await downloading.value).path()

    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["data"] == hostile
    assert await admin.evaluate("({}).polluted === undefined")
    width = await admin.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


async def test_interrupted_connection_leaves_a_gap_on_screen(
    operator: Tabs, embedded: DemoSite
) -> None:
    page = await operator.take()
    await watch(page, embedded)

    embedded.restart()

    note = page.locator(".sync-gap")
    await expect(note).to_contain_text("messages may be missing here", timeout=30_000)


async def test_ended_session_is_shown_and_leads_to_the_login(
    context: BrowserContext, embedded: DemoSite
) -> None:
    await log_in(context, embedded)
    page = await context.new_page()
    sid = await watch(page, embedded)
    login = page.locator("[data-part=login]")
    await expect(login).to_be_hidden()

    await context.clear_cookies(name="sessionid")

    await expect(login).to_contain_text("Your session has ended")
    await expect(page.locator("[data-part=state]")).to_have_attribute(
        "data-state", "closed"
    )
    await login.get_by_role("link").click()
    assert "/admin/login/" in page.url
    await page.fill("#id_username", "admin")
    await page.fill("#id_password", embedded.admin_password)
    await page.click("[type=submit]")
    assert page.url.endswith(f"/stream/{sid}/monitor/")


async def test_service_monitor_says_which_streams_it_shows_and_offers_a_choice(
    admin: Page, embedded: DemoSite
) -> None:
    service = await new_service(embedded, "chess-1", "chess-2", "<b>go</b>")
    await open_monitor(admin, embedded, f"service/{service}")
    await is_subscribed(admin, streams=3)
    watched = admin.locator("[data-part=watched]")
    await expect(watched).to_have_text("Watching 3 of 3 streams")

    await admin.fill("#sync-named", "chess-")
    await admin.press("#sync-named", "Enter")

    await expect(watched).to_have_text("Watching 2 of 2 streams")
    await is_subscribed(admin, streams=2)
    options = admin.locator("#sync-publish-stream option")
    await expect(options).to_have_text(["chess-2", "chess-1"])


async def test_disconnected_monitor_says_that_it_was_an_operator_and_reconnects(
    operator: Tabs, embedded: DemoSite
) -> None:
    page, other = await operator.take(), await operator.take()
    service = await new_service(embedded, "one")
    await open_monitor(page, embedded, f"service/{service}")
    await other.goto(f"{embedded.base_url}{ADMIN}/service/{service}/disconnect/")
    await other.fill("#id_identity", "admin:admin")
    await other.click("#content [type=submit]")
    state = page.locator("[data-part=state]")
    await expect(state).to_have_text("Disconnected: by an operator")

    await page.get_by_role("link", name="Reconnect").click()

    await expect(state).to_have_text("Connected")
