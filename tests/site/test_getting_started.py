"""Getting started and the tutorials, followed word by word with the built wheel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import CHROMIUM_FLAGS
from tests.documents import code_block, code_blocks
from tests.services import free_port
from tests.site.project import RUNSERVER, Project, built_wheel, names_file

START = "docs/getting-started.md"
FEED = "docs/tutorials/feed.md"
USERS = ("alice", "bob")
PASSWORD = "a long password"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def project(wheel: Path, tmp_path: Path) -> Project:
    """A project after the steps that come before the server runs."""
    project = Project(tmp_path, wheel, free_port())
    install = code_block(START, "sh", "pip install sync-streams")
    project.shell(install.splitlines()[-1])
    project.shell(code_block(START, "sh", "token_hex"))
    project.add_files(START)
    *steps, last = code_block(START, "sh", "migrate").splitlines()
    assert last == RUNSERVER
    project.shell("\n".join(steps))
    return project


def test_a_message_arrives_in_the_second_shell(project: Project) -> None:
    tail = code_block(START, "sh", "sync_tail").splitlines()[-1]
    with project.serve():
        project.shell(code_block(START, "sh", "UniqueName=demo"))
        with project.start(tail, ready="Subscribed to TO") as tailing:
            project.shell(code_block(START, "sh", "/demo/Messages"))
            tailing.wait_for('{"text":"Hello"}')


@pytest.fixture
async def windows(
    project: Project, browser_path: str
) -> AsyncIterator[tuple[Page, Page]]:
    """Two logged-in users at the feed of a running project."""
    project.add_files(FEED)
    for user in USERS:
        project.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        block = code_block(FEED, "sh", "createsuperuser").splitlines()[0]
        project.shell(f"{block.replace('alice', user)} --noinput")
    with project.serve():
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=browser_path, headless=True, args=CHROMIUM_FLAGS
            )
            first, second = [await log_in(browser, project, user) for user in USERS]
            yield first, second
            await browser.close()


async def log_in(browser: Browser, project: Project, user: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(f"http://{project.origin}/feed/")
    await page.fill("[name=username]", user)
    await page.fill("[name=password]", PASSWORD)
    await page.click("[type=submit]")
    await expect(page.locator("#feed li")).to_have_text(["You are connected."])
    return page


async def test_what_one_window_of_the_feed_sends_both_receive(
    windows: tuple[Page, Page],
) -> None:
    alice, bob = windows

    await alice.fill("#text", "Hello <b>Bob</b>")
    await alice.click("button")

    for page in (alice, bob):
        await expect(page.locator("#feed li").nth(1)).to_have_text(
            "alice: Hello <b>Bob</b>"
        )


@pytest.mark.parametrize("document", [START, FEED])
def test_every_block_is_followed(document: str) -> None:
    shells = {START: 6, FEED: 1}

    assert len(code_blocks(document, "sh")) == shells[document]
    for language in ("python", "html"):
        assert all(map(names_file, code_blocks(document, language)))
