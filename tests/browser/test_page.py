"""The console in a real browser, against the site as ``make run`` starts it."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.admin.operator import Operator
from tests.browser.conftest import (
    TAKES_IMAGES,
    Look,
    OpenPage,
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

RECONNECT_MS = 30_000
HOSTILE = (
    "</script><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\"> \u202egnp.exe"
)


async def publish(page: Page, data: Mapping[str, Any]) -> None:
    await page.fill("#data", json.dumps(data))
    await page.click("#publish-form [type=submit]")


async def sees(page: Page, text: str) -> None:
    await expect(page.locator("#messages code").first).to_contain_text(text)


async def is_watching(page: Page) -> None:
    """Wait until the page has subscribed again, which it says between the Messages."""
    note = page.locator("#messages .note", has_text="interrupted").first
    await expect(note).to_be_visible(timeout=RECONNECT_MS)
    await expect(page.locator("#connection")).to_have_text("Connected")


async def test_both_tabs_show_the_messages_of_one(open_page: OpenPage) -> None:
    publisher, watcher = await open_page("cats"), await open_page("cats")

    await publish(publisher, {"cat": "Ada"})

    await sees(publisher, '"cat": "Ada"')
    await sees(watcher, '"cat": "Ada"')
    await expect(publisher.locator("#messages .mine")).to_have_count(1)
    await expect(watcher.locator("#messages .mine")).to_have_count(0)


async def test_a_message_published_by_rest_arrives(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("by-rest")

    rest.publish(embedded, "by-rest", {"from": "REST"})

    await sees(page, '"from": "REST"')
    await expect(page.locator("#total")).to_have_text("1")


async def test_the_newest_message_comes_first(open_page: OpenPage) -> None:
    page = await open_page("order")

    for number in range(3):
        await publish(page, {"n": number})
        await sees(page, f'"n": {number}')

    shown = await page.locator("#messages code").all_inner_texts()
    assert shown == ['{ "n": 2 }', '{ "n": 1 }', '{ "n": 0 }']


async def test_tabs_reconnect_after_the_server_restarts(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    first, second = await open_page("restart"), await open_page("restart")

    embedded.restart()

    await is_watching(first)
    await is_watching(second)
    await publish(first, {"after": "restart"})
    await sees(first, '"after": "restart"')
    await sees(second, '"after": "restart"')


BAD = {
    "not JSON": ('{"a": ', "Not JSON"),
    "a list": ("[1, 2]", "must be an object"),
    "nothing": ("", "Write a JSON object"),
    "4,097 bytes": (json.dumps({"a": "x" * 4089}), "1 byte too many"),
}


async def test_bad_data_is_refused_before_it_is_sent(
    open_page: OpenPage, subtests: pytest.Subtests
) -> None:
    page = await open_page("bad-data")
    button = page.locator("#publish-form [type=submit]")

    for name, (text, problem) in BAD.items():
        with subtests.test(name):
            await page.fill("#data", "{}")
            await expect(button).to_be_enabled()
            await page.fill("#data", text)

            await expect(page.locator("#data-problem")).to_contain_text(problem)
            await expect(button).to_be_disabled()


async def test_data_of_exactly_4096_bytes_is_published(open_page: OpenPage) -> None:
    page = await open_page("full")

    await publish(page, {"a": "é" * 2044})

    await expect(page.locator("#data-size")).to_have_text("4,096 / 4,096 bytes")
    await sees(page, "é" * 100)


async def test_a_refusal_is_shown_in_place(open_page: OpenPage) -> None:
    page = await open_page("refused")

    await publish(page, {"lone surrogate": "\ud800"})

    await expect(page.locator("#data-problem")).to_contain_text("(54008)")


async def test_a_name_that_the_server_refuses_is_shown_in_place(
    open_page: OpenPage,
) -> None:
    page = await open_page("good-name")

    await page.fill("#stream-name", "IS" + "0" * 32)
    await page.click("text=Watch")

    await expect(page.locator("#stream-problem")).to_be_visible()


async def test_hostile_data_is_shown_as_text(
    open_page: OpenPage, embedded: DemoSite, complaints: list[str]
) -> None:
    page = await open_page("hostile")

    rest.publish(embedded, "hostile", {HOSTILE: HOSTILE})

    await sees(page, "</script><script>document.title=")
    await sees(page, "\\u202egnp.exe")
    assert await page.locator("#messages img, #messages script").count() == 0
    assert "owned" not in await page.title()
    assert complaints == []


async def test_a_hostile_name_is_shown_as_text(
    open_page: OpenPage, complaints: list[str]
) -> None:
    page = await open_page("%3Cimg%20src=x%20onerror=alert(1)%3E")

    await publish(page, {"n": 1})

    await sees(page, '"n": 1')
    name = page.locator("#streams bdi")
    await expect(name).to_have_text("<img src=x onerror=alert(1)>")
    await expect(page.locator("#snippet")).to_contain_text(re.compile("TO[0-9a-f]{32}"))
    assert complaints == []


async def test_the_page_keeps_to_a_strict_content_security_policy(
    open_page: OpenPage, embedded: DemoSite, complaints: list[str]
) -> None:
    headers = rest.request(embedded, "GET", "/").headers
    page = await open_page("policy")
    await publish(page, {"n": 1})
    await sees(page, '"n": 1')

    assert headers["Content-Security-Policy"] == "default-src 'self'"
    assert complaints == []


async def test_a_paused_list_holds_messages_and_shows_them_later(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("paused")
    await page.click("#pause")

    rest.publish(embedded, "paused", {"n": 1})
    rest.publish(embedded, "paused", {"n": 2})

    await expect(page.locator("#pause")).to_have_text("Resume (2)")
    await expect(page.locator("#messages code")).to_have_count(0)
    await page.click("#pause")
    await expect(page.locator("#messages code")).to_have_count(2)


async def test_the_list_is_bounded(open_page: OpenPage) -> None:
    page = await open_page("bounded")

    await page.evaluate(
        """async () => {
          const { Feed } = await import("/static/project/feed.js");
          const by = (id) => document.getElementById(id);
          const [total, skipped] = [by("total"), by("skipped")];
          const [list, empty] = [by("messages"), by("empty")];
          const [pause, clear] = [by("pause"), by("clear")];
          const feed = new Feed({ list, empty, total, skipped, pause, clear });
          for (let n = 1; n <= 450; n += 1)
            feed.add({ sid: `TZ${n}`, data: { n } }, { name: "bounded", colour: 0 });
        }"""
    )

    await sees(page, '"n": 450')
    await expect(page.locator("#messages li")).to_have_count(60)
    await expect(page.locator("#skipped")).to_have_text("390")
    await expect(page.locator("#total")).to_have_text("450")


async def test_twenty_busy_streams_are_counted_exactly(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    names = [f"busy-{number}" for number in range(20)]
    page = await open_page(",".join(names))
    await expect(page.locator("#streams [aria-busy]")).to_have_count(0)

    async with SiteSocket(embedded, "busy") as socket:
        for name in names * 30:
            await socket.ask("publish", stream=name, data={"of": name})

    await expect(page.locator("#total")).to_have_text("600")
    counts = page.locator("#streams .count")
    await expect(counts).to_have_text(["30"] * len(names))
    assert await page.locator("#messages li").count() <= 200


async def test_several_streams_are_watched_and_kept_in_the_address(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("first")
    await page.fill("#stream-name", "second one")
    await page.click("text=Watch")
    await expect(page).to_have_title("second one · Sync Streams")
    await expect(page.locator("#stream-facts code")).to_be_visible()

    rest.publish(embedded, "first", {"n": 1})
    await sees(page, '"n": 1')
    rest.publish(embedded, "second%20one", {"n": 2})
    await sees(page, '"n": 2')

    origins = page.locator("#messages .origin")
    await expect(origins).to_have_text(["second one", "first"])
    await expect(page.locator("#streams .count")).to_have_text(["1", "1"])
    assert page.url.endswith("#first,second%20one")


async def test_one_stream_is_removed_from_view_and_the_others_stay(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("kept,left")

    await page.click("[aria-label='Stop watching left']")
    await expect(page.locator("#streams bdi")).to_have_text(["kept"])
    rest.publish(embedded, "left", {"n": 1})
    rest.publish(embedded, "kept", {"n": 2})

    await sees(page, '"n": 2')
    await expect(page.locator("#total")).to_have_text("1")
    assert page.url.endswith("#kept")


async def test_a_message_is_published_to_the_chosen_stream(
    open_page: OpenPage,
) -> None:
    page = await open_page("one,other")

    await page.get_by_role("radio", name="one").check(force=True)
    await expect(page.locator("#target")).to_have_text("one")
    await publish(page, {"n": 1})

    await expect(page.locator("#messages .origin")).to_have_text(["one"])
    await expect(page.locator("#snippet")).to_contain_text("/Streams/one/Messages")


async def test_latency_is_that_of_own_messages(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("latency")

    rest.publish(embedded, "latency", {"from": "elsewhere"})
    await sees(page, "elsewhere")
    await publish(page, {"from": "here"})

    await expect(page.locator("#latency-count")).to_have_text("1")
    for figure in ("median", "last"):
        text = page.locator(f"#latency-{figure}")
        await expect(text).to_have_text(re.compile(r"^\s*\d[\d.,]* ms\s*$"))


async def test_repeated_messages_count_up_until_they_are_stopped(
    open_page: OpenPage,
) -> None:
    page = await open_page("repeated")
    await page.fill("#data", '{"n": 7}')

    await page.select_option("#pace", "10")
    await expect(page.locator("#publish-form [type=submit]")).to_have_text("Start")
    await expect(page.locator("#messages code")).to_have_count(0)
    await page.click("#publish-form [type=submit]")
    third = page.locator("#messages code", has_text='"n": 9')
    await expect(third).to_be_visible()
    await page.press("#stop", "Enter")
    await expect(page.locator("#publish-form [type=submit]")).to_be_focused()
    await page.select_option("#pace", "0")
    await publish(page, {"n": "the last"})

    await sees(page, '"the last"')
    shown = await page.locator("#messages code").all_inner_texts()
    assert shown[:0:-1] == [f'{{ "n": {7 + at} }}' for at in range(len(shown) - 1)]


async def test_the_page_says_that_it_is_not_connected(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("gone")
    now = page.locator("#states .now")
    await expect(now).to_have_attribute("data-state", "connected")

    embedded.stop()

    await expect(page.locator("#connection")).to_contain_text("Reconnecting")
    await expect(now).to_have_attribute("data-state", "reconnecting")
    embedded.start()
    await is_watching(page)
    facts = page.locator("#connection-facts")
    await expect(facts).to_contain_text("reconnected once")


async def test_offline_is_shown_at_once_and_publishing_waits_visibly(
    context: BrowserContext, embedded: DemoSite
) -> None:
    page = await context.new_page()
    await page.goto(f"{embedded.base_url}/#offline")
    await page.locator("#stream-facts code").wait_for()
    state = page.locator("#connection")

    await context.set_offline(True)

    await expect(state).to_have_text("Offline: waiting for the network")
    await publish(page, {"n": "kept"})
    result = page.locator("#publish-result, #data-problem")
    await expect(result.filter(has_text=re.compile("offline|answer"))).to_be_visible()
    await context.set_offline(False)
    await expect(state).to_have_text("Connected", timeout=RECONNECT_MS)


async def test_refused_messages_are_counted_apart(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("apart")
    await page.select_option("#pace", "30")
    await page.click("#publish-form [type=submit]")

    async with crowd(embedded, "apart"):
        result = page.locator("#pace-result")
        counted = re.compile(r"^[\d,]+ published, [\d,]+ rate-limited \(54009\)")
        await expect(result).to_have_text(counted)
    await page.click("#stop")


async def test_page_that_an_operator_disconnected_reconnects_by_a_button(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("ended")
    identity = (await page.locator("#identity").inner_text()).removeprefix("as ")
    operator = await asyncio.to_thread(Operator, embedded)
    service = await asyncio.to_thread(operator.service_of, "default")
    path = f"sync_streams/service/{service}/disconnect/"
    await asyncio.to_thread(operator.post, path, identity=identity)
    state = page.locator("#connection")
    await expect(state).to_have_text("Disconnected by an operator")

    await page.get_by_role("button", name="Reconnect").click()

    await expect(state).to_have_text("Connected")


async def test_page_whose_session_has_ended_gives_up(
    context: BrowserContext, embedded: DemoSite
) -> None:
    page = await context.new_page()
    await page.route("**/token", lambda route: route.fulfill(status=403))

    await page.goto(embedded.base_url)

    told = "Disconnected (no access token: HTTP 403)"
    await expect(page.locator("#connection")).to_have_text(told)
    await expect(page.get_by_role("button", name="Reconnect")).to_be_visible()


async def test_pointer_of_one_tab_is_seen_in_the_other(open_page: OpenPage) -> None:
    mine, other = await open_page("together"), await open_page("together")

    await mine.locator("#stage").press("ArrowRight")

    await expect(other.locator(".pointer")).to_be_visible()
    latency = mine.locator("#pointer-latency")
    await expect(latency).to_have_text(re.compile(r"^\d[\d.,]* ms$"))


async def test_form_stands_before_the_figures_on_a_phone(open_page: OpenPage) -> None:
    page = await open_page("phone")
    await page.set_viewport_size({"width": 390, "height": 844})

    form = await page.locator("#publish-form").bounding_box()
    figures = await page.locator(".console-board").bounding_box()

    assert form
    assert figures
    assert form["y"] < figures["y"]
    assert form["y"] < 844


async def test_a_removed_stream_is_announced_and_can_be_created_again(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("removed")

    rest.call(embedded, "DELETE", "/default/Streams/removed")

    await expect(page.locator("#stream-problem")).to_contain_text("was removed")
    await page.click("text=Watch")
    await expect(page.locator("#stream-facts code")).to_be_visible()
    await publish(page, {"n": 1})
    await sees(page, '"n": 1')


async def test_the_page_holds_no_secret(
    open_page: OpenPage, embedded: DemoSite
) -> None:
    page = await open_page("secrets")

    for language in ("curl", "python", "javascript"):
        await page.locator(f"[value={language}]").check(force=True)
        await expect(page.locator("#snippet")).to_contain_text("secrets")
        text = await page.content()
        assert embedded.auth_token not in text
        assert embedded.api_key_secret not in text


async def test_nothing_is_wider_than_the_screen(open_page: OpenPage) -> None:
    page = await open_page("narrow")

    await publish(page, {"word": "x" * 2000})

    await sees(page, "xxx")
    for width in (320, 390, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


async def test_console_fits_every_theme_and_width(
    visitor: Tabs, embedded: DemoSite, tmp_path: Path, look: Look
) -> None:
    page = await take_in(visitor, look)
    await page.goto(f"{embedded.base_url}/#scores,chat")
    await expect(page.locator("#streams [aria-busy]")).to_have_count(0)
    data = {"from": "Ada", "text": "What a pass!", "n": 1}
    await page.fill("#data", json.dumps(data, indent=2))
    await page.select_option("#pace", "1")
    await page.click("#publish-form [type=submit]")
    await play(embedded, "scores", seconds=30 if TAKES_IMAGES else 1)
    await expect(page.locator("#messages .mine").first).to_be_attached()

    overflow = await overflow_of(page, f"console-{look[0]}", tmp_path)
    assert overflow <= 0


async def test_the_reference_of_the_api_has_its_style(
    open_tab: OpenPage, embedded: DemoSite, complaints: list[str]
) -> None:
    page = await open_tab(f"{embedded.base_url}/v1/reference")

    assert await page.evaluate("getComputedStyle(document.body).maxWidth") == "832px"
    assert complaints == []
