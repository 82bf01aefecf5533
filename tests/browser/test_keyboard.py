"""Every page by keyboard alone: each control gets the focus, visibly, and loses it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import log_in
from tests.browser.tabs import Tabs
from tests.browser.test_admin import ADMIN, new_stream, publish, watch
from tests.clients.json_socket import SiteSocket
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WATCH = """() => {
  const style = Object.assign(document.createElement("style"),
    { textContent: "*, ::before, ::after { transition: none !important }" });
  document.head.append(style);
  const look = (each) => {
    const { outline, boxShadow, border, background, textDecorationLine, color } =
      getComputedStyle(each);
    return [outline, boxShadow, border, background, textDecorationLine, color].join();
  };
  const around = (each) =>
    [each, each.parentElement, each.closest("li")]
      .map((one) => one && look(one)).join();
  const told = (each) => each.outerHTML.slice(0, 120);
  document.activeElement.blur();
  const controls = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((each) => each.checkVisibility() && !each.matches(":disabled")
      && each.tabIndex >= 0 && each.type !== "hidden"
      && !(each.type === "radio" && !each.checked));
  const before = new Map(controls.map((each) => [each, around(each)]));
  controls[0].focus();
  window.reached = new Set();
  window.unseen = new Set();
  window.returned = false;
  document.addEventListener("focusin", ({ target }) => {
    returned ||= target === controls[0];
    reached.add(target);
    if (before.get(target) === around(target)) unseen.add(told(target));
  });
  window.missed = () => controls.filter((each) => each.isConnected
    && each.checkVisibility() && !each.matches(":disabled") && !reached.has(each))
    .map(told);
  return controls.length;
}"""
"""Record which controls get the focus, and which of them look the same with it."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tabs(browser: Browser) -> AsyncIterator[Tabs]:
    """Tabs in which tests can examine every page."""
    context = await browser.new_context(bypass_csp=True)
    yield Tabs(context)
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(tabs: Tabs, embedded: DemoSite) -> AsyncIterator[Page]:
    """Such a tab of the administrator."""
    if not await tabs.context.cookies():
        await log_in(tabs.context, embedded)
    yield await tabs.take()
    await tabs.park(f"{embedded.base_url}/livez")


async def walk(page: Page) -> None:
    """Press Tab until the first control is reached again; say what is wrong."""
    count = await page.evaluate(WATCH)
    for _ in range(0, 2 * count + 20, 10):
        for _ in range(10):
            await page.keyboard.press("Tab")
        if await page.evaluate("returned"):
            break
    missed, unseen = await page.evaluate("[missed(), [...unseen]]")
    assert (page.url, missed, unseen) == (page.url, [], [])
    assert await page.evaluate("returned"), f"a trap on {page.url}"


async def test_every_control_of_the_admin_is_reached_and_left(
    page: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded, UniqueName="keyboard")
    root = f"{embedded.base_url}{ADMIN}"
    await page.goto(f"{root}/stream/{sid}/change/")
    service = await page.locator(".field-service a").get_attribute("href") or ""
    service = service.split("/")[-3]
    paths = [f"stream/{sid}/{each}/" for each in ("change", "monitor", "delete")]
    names = ("change", "monitor", "disconnect", "delete", "history")
    paths += [f"service/{service}/{each}/" for each in names]
    paths += [f"service/{each}/" for each in ("overview", "connections", "processes")]
    paths += ["", "stream/?q=keyboard", "service/?q=default", "stream/add/", "../"]
    async with SiteSocket(embedded, "kim") as socket:
        await socket.ask("subscribe", stream=sid)
        await socket.ask("publish", stream=sid, data={"n": 1})
        for path in paths:
            await page.goto(f"{root}/{path}")
            await walk(page)


@pytest.mark.parametrize("path", ["/#keys,more", "/cursors"])
async def test_every_control_of_the_demo_is_reached_and_left(
    page: Page, embedded: DemoSite, path: str
) -> None:
    await page.goto(f"{embedded.base_url}{path}")
    await expect(page.locator("#connection")).to_have_text("Connected")

    await walk(page)


async def test_message_is_opened_and_copied_by_keyboard(
    page: Page, embedded: DemoSite
) -> None:
    sid = await watch(page, embedded)
    await publish(embedded, sid, {"n": 1})
    summary = page.locator("[data-part=rows] summary")
    await summary.focus()

    await page.keyboard.press("Enter")
    await expect(page.locator("[data-part=rows] pre")).to_be_visible()
    await walk(page)


async def test_refresh_of_the_overview_leaves_the_keyboard_where_it_is(
    page: Page, embedded: DemoSite
) -> None:
    sid = await new_stream(embedded, UniqueName="held")
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=sid)
        await page.goto(f"{embedded.base_url}{ADMIN}/service/overview/")
        link = page.locator("[data-part=streams] a", has_text="held")
        await link.focus()
        old = await link.element_handle()

        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.wait_for_function("link => !link.isConnected", arg=old)

        await expect(page.locator("[data-part=streams] a:focus")).to_have_text("held")


async def test_oldest_message_stays_while_the_keyboard_is_on_it(
    page: Page, embedded: DemoSite
) -> None:
    sid = await watch(page, embedded)
    await publish(embedded, sid, {"n": "oldest"})
    await page.locator("[data-part=rows] summary").focus()

    await page.evaluate(
        """async () => {
          const root = document.querySelector("#sync-monitor");
          const { MessageList } = await import(root.dataset.list);
          const texts = JSON.parse(document.querySelector("#sync-texts").textContent);
          const list = new MessageList(root, { texts });
          for (let n = 0; n < 250; n += 1) list.note(`note ${n}`);
        }"""
    )

    await expect(page.locator("[data-part=rows] li")).to_have_count(200)
    await expect(page.locator("[data-part=rows] summary:focus")).to_contain_text(
        "oldest"
    )
