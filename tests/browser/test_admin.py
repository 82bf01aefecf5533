"""The admin in a real browser, under a policy that allows only the site's own files."""

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeout

from tests.browser.conftest import (
    TAKES_IMAGES,
    Look,
    crowd,
    overflow_of,
    play,
    take_in,
)
from tests.browser.tabs import Tabs
from tests.clients import rest
from tests.clients.json_socket import SiteSocket
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ADMIN = "/admin/sync_streams"
HOSTILE = (
    "</script><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\"> \u202egnp.exe \u0000\u2028"
)

WAIT_SECONDS = 30


async def new_stream(site: DemoSite, **fields: str) -> str:
    created = await asyncio.to_thread(rest.post, site, "/default/Streams", **fields)
    return str(created["sid"])


async def publish(site: DemoSite, stream: str, data: object) -> None:
    await asyncio.to_thread(rest.publish, site, stream, data)


async def open_monitor(page: Page, site: DemoSite, resource: str) -> None:
    await page.goto(f"{site.base_url}{ADMIN}/{resource}/monitor/")
    await expect(page.locator("[data-part=state]")).to_have_text("Connected")


async def is_subscribed(page: Page, *, streams: int = 1) -> None:
    """Wait until the page is subscribed to so many Streams."""
    count = "document.querySelector('#sync-monitor').dataset.subscribed"
    await page.wait_for_function(f"least => Number({count}) >= least", arg=streams)


async def watch(page: Page, site: DemoSite, **fields: str) -> str:
    """Open the monitor of a new Stream, and return the Stream's SID."""
    sid = await new_stream(site, **fields)
    await open_monitor(page, site, f"stream/{sid}")
    await is_subscribed(page)
    return sid


async def is_shown(page: Page, site: DemoSite, stream: str) -> None:
    """Publish to a Stream until the page, which may still be subscribing, shows it."""
    row = page.locator("[data-part=rows] .sync-name", has_text=stream).first
    async with asyncio.timeout(WAIT_SECONDS):
        while not await row.is_visible():
            await publish(site, stream, {"of": stream})
            with suppress(PlaywrightTimeout):
                await row.wait_for(timeout=1000)


async def test_monitor_shows_what_another_connection_publishes(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await watch(admin, embedded)

    async with SiteSocket(embedded, "alice") as socket:
        await socket.ask("publish", stream=sid, data={"from": "alice"})

    row = admin.locator("[data-part=rows] li").first
    await expect(row.locator("code")).to_have_text('{"from":"alice"}')
    await expect(admin.locator("[data-count=received]")).to_have_text("1")


async def test_opened_message_shows_its_sid_and_pretty_json(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await watch(admin, embedded)
    await publish(embedded, sid, {"a": {"b": [1, None]}})

    await admin.locator("[data-part=rows] summary").first.click()

    pretty = json.dumps({"a": {"b": [1, None]}}, indent=2)
    await expect(admin.locator("[data-part=rows] pre")).to_have_text(pretty)
    await expect(admin.locator(".sync-sid")).to_contain_text("TZ")


async def test_paused_monitor_counts_and_shows_nothing(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await watch(admin, embedded)

    await admin.click("[data-part=pause]")
    await publish(embedded, sid, {"n": 1})
    await expect(admin.locator("[data-count=paused]")).to_have_text("1")
    await expect(admin.locator("[data-part=rows] li")).to_have_count(0)
    await admin.click("[data-part=pause]")
    await publish(embedded, sid, {"n": 2})

    codes = admin.locator("[data-part=rows] code")
    await expect(codes).to_have_text(['{"n":2}'])


async def test_filter_hides_messages_without_the_text(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await watch(admin, embedded)
    for name in ("Ada", "Grace"):
        await publish(embedded, sid, {"name": name})
    await expect(admin.locator("[data-part=rows] li")).to_have_count(2)

    await admin.fill("[data-part=filter]", "grace")  # no SID has these letters

    shown = admin.locator("[data-part=rows] li:not([hidden]) code")
    await expect(shown).to_have_text(['{"name":"Grace"}'])


async def test_hostile_message_is_text_and_nothing_else(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded, UniqueName=f"<b>{HOSTILE[:40]}")
    await open_monitor(admin, embedded, f"stream/{sid}")
    await is_subscribed(admin)
    title = await admin.title()

    await publish(embedded, sid, {HOSTILE: HOSTILE, "long": "W" * 3000})
    await admin.locator("[data-part=rows] summary").first.click()

    pretty = admin.locator("[data-part=rows] pre")
    await expect(pretty).to_contain_text("<img src=x onerror=")
    await expect(pretty).to_contain_text("\\u202egnp.exe \\u0000\\u2028")
    assert (
        await admin.locator(
            "#sync-monitor :is(img, b:not([data-count], [data-size]))"
        ).count()
        == 0
    )
    assert await admin.title() == title
    width = await admin.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


async def test_test_message_is_published_and_seen(
    admin: Page, embedded: DemoSite
) -> None:
    await watch(admin, embedded)

    await admin.fill(".sync-publish textarea", '{"move": "e4"}')
    await admin.click(".sync-publish button")

    await expect(admin.locator(".sync-result")).to_contain_text("Published: TZ")
    row = admin.locator("[data-part=rows] code")
    await expect(row).to_have_text(['{"move":"e4"}'])


FAULTS = {
    "a list": ("[1]", "This is not a JSON object"),
    "4,097 bytes": (json.dumps({"a": "x" * 4089}), "More than 4,096 bytes"),
    "half an object": ("{", "This is not a JSON object"),
}


async def test_data_is_checked_while_it_is_typed(
    admin: Page, embedded: DemoSite, subtests: pytest.Subtests
) -> None:
    sid = await new_stream(embedded)
    await admin.goto(f"{embedded.base_url}{ADMIN}/stream/{sid}/change/")
    button = admin.locator(".sync-publish button[type=submit]")

    for name, (data, fault) in FAULTS.items():
        with subtests.test(name):
            await admin.fill(".sync-publish textarea", "{}")
            await expect(button).to_be_enabled()
            await admin.fill(".sync-publish textarea", data)

            await expect(admin.locator(".sync-result")).to_have_text(fault)
            await expect(button).to_be_disabled()


async def publish_on(page: Page) -> int:
    """Press the button of the page's form and return the status of the answer."""
    async with page.expect_response("**/publish/") as answer:
        await page.click(".sync-publish button[type=submit]")
    return (await answer.value).status


async def test_refused_test_message_says_when_to_try_again(
    operator: Tabs, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded)
    page = await operator.take()
    await page.goto(f"{embedded.base_url}{ADMIN}/stream/{sid}/change/")
    async with crowd(embedded, sid):
        async with asyncio.timeout(WAIT_SECONDS):
            while await publish_on(page) != 429:
                continue

    result = page.locator(".sync-result")
    await expect(result).to_contain_text(re.compile(r"\(54009\), retry in \d\.\d s"))


async def test_service_monitor_shows_all_streams_and_new_ones(
    admin: Page, embedded: DemoSite
) -> None:
    first = await new_stream(embedded)
    await admin.goto(f"{embedded.base_url}{ADMIN}/stream/{first}/change/")
    link = admin.locator(".field-service a")
    service = (await link.get_attribute("href") or "").split("/")[-3]
    await open_monitor(admin, embedded, f"service/{service}")
    await is_subscribed(admin)

    second = await new_stream(embedded)
    names = admin.locator("[data-part=rows] .sync-name")
    for sid in (first, second):
        await is_shown(admin, embedded, sid)
        await expect(names.first).to_have_text(sid)


async def test_removed_stream_is_reported_as_removed(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await watch(admin, embedded, UniqueName="short-lived")

    path = f"/v1/Services/default/Streams/{sid}"
    await asyncio.to_thread(rest.request, embedded, "DELETE", path)

    note = admin.locator(".sync-note")
    await expect(note).to_have_text("short-lived: The stream was removed")


async def test_disconnected_monitor_does_not_reconnect(
    operator: Tabs, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded)
    watcher, other = await operator.take(), await operator.take()
    await open_monitor(watcher, embedded, f"stream/{sid}")
    await other.goto(f"{embedded.base_url}{ADMIN}/service/?q=default")
    await other.click("#result_list tbody th a >> nth=0")
    await other.click("text=Disconnect an identity")

    await other.fill("#id_identity", "admin:admin")
    await other.click("#content [type=submit]")

    await expect(other.locator(".messagelist")).to_contain_text("admin:admin")
    state = watcher.locator("[data-part=state]")
    await expect(state).to_have_attribute("data-state", "closed")


async def test_visible_list_keeps_counting_subscribers(
    admin: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded)
    await admin.goto(f"{embedded.base_url}{ADMIN}/stream/?q={sid}")
    count = admin.locator(f"[data-occupancy={sid}]")
    await expect(count).to_have_text("0")

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)

        await expect(count).to_have_text("1", timeout=15_000)


async def test_busy_monitor_samples_and_counts_exactly(
    admin: Page, embedded: DemoSite
) -> None:
    sids = [await new_stream(embedded) for _ in range(5)]
    await admin.goto(f"{embedded.base_url}{ADMIN}/stream/{sids[0]}/change/")
    link = admin.locator(".field-service a")
    service = (await link.get_attribute("href") or "").split("/")[-3]
    await open_monitor(admin, embedded, f"service/{service}")
    await is_subscribed(admin, streams=len(sids))
    async with SiteSocket(embedded) as socket:
        for sid in sids * 25:
            await socket.request("publish", stream=sid, data={"n": 1})
        for _ in sids * 25:
            await socket.receive()

    await expect(admin.locator("[data-count=received]")).to_have_text("125")
    await expect(admin.locator("[data-count=skipped]")).not_to_have_text("0")
    counts = [
        int(await admin.locator(f"[data-count={name}]").inner_text())
        for name in ("shown", "skipped", "paused")
    ]
    assert sum(counts) == 125


async def test_monitor_fits_every_theme_and_width(
    operator: Tabs, embedded: DemoSite, tmp_path: Path, look: Look
) -> None:
    page = await take_in(operator, look)
    sid = await watch(page, embedded, UniqueName=f"scores-{look[0]}")
    await play(embedded, sid, seconds=25 if TAKES_IMAGES else 1)
    second = page.locator("[data-part=rows] summary").nth(1)
    await expect(second).to_be_visible()
    await page.click("[data-part=pause]")
    await second.click()

    overflow = await overflow_of(page, f"monitor-{look[0]}", tmp_path)
    assert overflow <= 0
