"""Shared pointers in a real browser: what one tab moves, the others show."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import (
    TAKES_IMAGES,
    Look,
    OpenPage,
    crowd,
    overflow_of,
    take_in,
)
from tests.browser.tabs import Tabs
from tests.browser.test_page import HOSTILE
from tests.clients.rest import publish
from tests.programs import DemoSite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OpenCursors = Callable[[str], Awaitable[Page]]

IS_AT = """([id, x, y]) => {
  const { clientWidth: width, clientHeight: height } = document.getElementById("stage");
  const pointer = document.querySelector(id);
  const { e, f } = new DOMMatrix(pointer && getComputedStyle(pointer).transform);
  return pointer && Math.hypot(e - x * width, f - y * height) < 2;
}"""


@pytest.fixture
def open_cursors(open_tab: OpenPage, embedded: DemoSite) -> OpenCursors:
    """Open a tab with the pointers of a Stream: ``await open_cursors("team")``."""

    async def open_stream(stream: str) -> Page:
        page = await open_tab(f"{embedded.base_url}/cursors#{stream}")
        await expect(page.locator("#stage")).not_to_have_attribute("aria-busy", "true")
        return page

    return open_stream


async def move_to(page: Page, x: float, y: float) -> None:
    """Move the mouse to a place, shares of the surface's width and height."""
    box = await page.locator("#stage").bounding_box()
    assert box
    await page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


async def test_two_tabs_share_their_pointers(open_cursors: OpenCursors) -> None:
    first, second = await open_cursors("shared"), await open_cursors("shared")
    await first.fill("#your-name", "Ada")

    await move_to(first, 0.25, 0.5)
    await expect(second.locator(".pointer:not(.mine)")).to_have_text("Ada")
    await second.locator("#stage").press("ArrowRight")

    await expect(second.locator(".pointer.mine")).to_have_text("you")
    await second.wait_for_function(IS_AT, arg=[".pointer:not(.mine)", 0.25, 0.5])
    await first.wait_for_function(IS_AT, arg=[".pointer:not(.mine)", 0.52, 0.5])
    colours = await first.locator(".pointer").evaluate_all(
        "pointers => pointers.map((pointer) => pointer.dataset.colour)"
    )
    assert len(set(colours)) == 2


async def test_robots_are_pointers_like_all_others(open_cursors: OpenCursors) -> None:
    page, watcher = await open_cursors("robots"), await open_cursors("robots")

    await page.click("#robot")
    await page.click("#robot")

    labels = watcher.locator(".pointer")
    await expect(labels).to_have_text(["robot 1", "robot 2"])
    people = watcher.locator("#people bdi")
    await expect(people).to_have_text(["robot 1", "robot 2"])
    await expect(watcher.locator("#rate")).not_to_have_text(re.compile(r"^\s*0\s*$"))


async def test_own_latency_is_shown(open_cursors: OpenCursors) -> None:
    page = await open_cursors("latency")

    await move_to(page, 0.5, 0.5)

    await expect(page.locator("#latency-median")).to_contain_text(" ms")


async def test_a_pointer_that_is_refused_waits_and_goes_on(
    open_cursors: OpenCursors, embedded: DemoSite
) -> None:
    mover, watcher = await open_cursors("crowded"), await open_cursors("crowded")

    async with crowd(embedded, "crowded"):
        await mover.click("#robot")
        await expect(mover.locator("#refusals")).not_to_have_text("0")
    await move_to(mover, 0.75, 0.25)

    name = await mover.input_value("#your-name")
    await expect(watcher.locator(".pointer", has_text=name)).to_be_visible()


async def test_hostile_pointers_are_text_or_nothing(
    open_cursors: OpenCursors, embedded: DemoSite, complaints: list[str]
) -> None:
    page = await open_cursors("hostile")
    good = {"id": "good", "name": "Ada", "x": 0.5, "y": 0.5, "colour": 1}

    wrongs: list[dict[str, object]] = [{"id": {}}, {"x": "1"}, {"y": 9}, {"x": None}]
    for wrong in wrongs:
        publish(embedded, "hostile", {**good, "id": "wrong", **wrong})
    name = {"name": f"\u202e<b>{HOSTILE}", "colour": "url(//x)"}
    publish(embedded, "hostile", {**good, "id": '"><b>', **name})
    publish(embedded, "hostile", {**good, "mark": {"deep": [[[]]]}})

    labels = page.locator(".pointer")
    await expect(labels).to_have_text(
        [re.compile(r"^\\u202e<b></script><script>"), "Ada"]
    )
    await expect(page.locator("#people bdi").first).to_contain_text("<b></script>")
    assert await page.locator("main :is(b, img, script)").count() == 0
    assert complaints == []


async def test_cursors_fit_every_theme_and_width(
    visitor: Tabs, embedded: DemoSite, tmp_path: Path, look: Look
) -> None:
    page = await take_in(visitor, look)
    await page.goto(f"{embedded.base_url}/cursors#{look[0]}")
    await page.fill("#your-name", "Ada" if TAKES_IMAGES else "W" * 24)
    for _ in range(3 if TAKES_IMAGES else 1):
        await page.click("#robot")
        await asyncio.sleep(4 if TAKES_IMAGES else 0)
    for step in range(60 if TAKES_IMAGES else 1):
        await move_to(page, 0.3 + step / 120, 0.5 - step / 300)
        await asyncio.sleep(0.03)

    await expect(page.locator(".pointer.mine")).to_be_visible()
    overflow = await overflow_of(page, f"cursors-{look[0]}", tmp_path)
    assert overflow <= 0
