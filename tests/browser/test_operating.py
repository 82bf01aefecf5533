"""Overview, connections and lists in a real browser, by keyboard and on a phone."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_admin import ADMIN, new_stream, publish
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WIDTHS = (1440, 1024, 768, 390)
LISTS = (
    *("stream/", "service/", "service/overview/"),
    *("service/connections/", "service/processes/"),
)


async def test_overview_counts_current_activity(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded, UniqueName="overview-\u0644")
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)
        await publish(embedded, sid, {"n": 1})

        await admin.goto(f"{embedded.base_url}{ADMIN}/service/overview/")

        state = admin.locator(".sync-overview [data-part=state]")
        await expect(state).to_contain_text(
            "The database and the channel layer respond."
        )
        count = admin.locator("[data-chart=connections] output")
        await expect(count).to_have_text(re.compile("[1-9]"))
        streams = admin.locator("[data-part=streams] a", has_text="overview-")
        await expect(streams).to_be_visible()
        await publish(embedded, sid, {"n": 2})
        await admin.reload()
        busy = admin.locator("[data-part=busy_streams] li", has_text="overview-")
        await expect(busy).to_contain_text(
            re.compile(r"Peak of the last hour: [\d.]+/s")
        )
        await expect(busy.locator("polyline")).to_have_count(1)
        rows = admin.locator("[data-part=table] tr")
        await expect(rows).to_have_count(6)


async def test_index_leads_to_the_overview_by_keyboard(
    admin: Page, embedded: DemoSite
) -> None:
    await admin.goto(f"{embedded.base_url}/admin/")

    link = admin.get_by_role("link", name="Sync Streams now")
    await link.focus()
    await admin.keyboard.press("Enter")

    await expect(admin.locator("h1", has_text="Overview")).to_be_visible()


async def test_connection_is_found_and_ended_by_keyboard(
    admin: Page, embedded: DemoSite
) -> None:
    async with SiteSocket(embedded, "keyboard-kim"):
        await admin.goto(f"{embedded.base_url}{ADMIN}/service/connections/")
        await admin.focus("#id_identity")
        await admin.keyboard.type("keyboard-")
        await admin.keyboard.press("Enter")
        button = admin.get_by_role("button", name="Close this connection of")
        await button.press("Enter")
        await admin.locator("#content input[type=submit]").press("Enter")

        told = admin.locator(".messagelist")
        await expect(told).to_contain_text("Ended 1 connection of “keyboard-kim”.")


@pytest.mark.parametrize("path", LISTS)
async def test_nothing_is_cut_off_at_any_width(
    admin: Page, embedded: DemoSite, path: str
) -> None:
    await new_stream(embedded, UniqueName=f"{path:W<320}")
    async with SiteSocket(embedded, "M" * 256):
        await admin.goto(f"{embedded.base_url}{ADMIN}/{path}")
        await admin.wait_for_load_state("networkidle")
        for width in WIDTHS:
            await admin.set_viewport_size({"width": width, "height": 900})
            wide = await admin.evaluate(
                """[document.documentElement, ...document.querySelectorAll(
                    ".results, .sync-scroll, #content")].map(
                    (each) => each.scrollWidth - each.clientWidth)"""
            )
            assert max(wide) <= 1, (width, wide)


async def test_hostile_names_and_identities_are_text_on_every_page(
    admin: Page, embedded: DemoSite
) -> None:
    markup = "<img src=x onerror=\"document.title='owned'\">"
    named = {"FriendlyName": f"{markup}\u202e{'W' * 200}"}
    service = (await asyncio.to_thread(post, embedded, "", **named))["sid"]
    stream = f"{markup}\u0644{'W' * 278}"[:320]
    path = f"/{service}/Streams"
    sid = (await asyncio.to_thread(post, embedded, path, UniqueName=stream))["sid"]
    identity = f"{markup}\u202e\u200b{'W' * 200}"
    names = ("change", "monitor", "disconnect", "delete", "history")
    pages = ["overview/", "connections/", "processes/"]
    pages += [f"{service}/{name}/" for name in names]
    pages += [f"../stream/{sid}/{name}/" for name in names if name != "disconnect"]
    await admin.set_viewport_size({"width": 390, "height": 800})
    async with SiteSocket(embedded, identity, service) as socket:
        await socket.ask("subscribe", stream=sid)
        await socket.ask("publish", stream=sid, data={})
        for page in pages:
            await admin.goto(f"{embedded.base_url}{ADMIN}/service/{page}")
            if page == "overview/":
                busy = admin.locator("[data-part=busy_streams] li", has_text="onerror")
                await expect(busy).to_be_visible()
            text = await admin.inner_text("#content")
            wide = await admin.evaluate("document.body.scrollWidth - innerWidth")
            assert not (await admin.title()).startswith("owned")
            assert await admin.locator("#content img[src=x]").count() == 0
            assert not set("\u202e\u200b") & set(text), page
            assert wide <= 0, page


async def test_list_on_a_phone_labels_each_cell(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded)
    await admin.set_viewport_size({"width": 390, "height": 900})

    await admin.goto(f"{embedded.base_url}{ADMIN}/stream/?q={sid}")

    label = await admin.locator("#result_list .field-sid").evaluate(
        "cell => getComputedStyle(cell, '::before').content"
    )
    assert label.lower() == '"sid"'
