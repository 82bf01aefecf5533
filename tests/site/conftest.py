"""A project after Getting started, and a browser of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import CHROMIUM_FLAGS
from tests.documents import code_block
from tests.programs import free_port
from tests.site.project import (
    RUNSERVER,
    START,
    Project,
    built_wheel,
    new_environment,
)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    return new_environment(folder, built_wheel(folder))


@pytest.fixture
def project(environment: Path, tmp_path: Path) -> Project:
    """A project after the steps that come before the server runs."""
    project = Project(tmp_path, environment, free_port())
    install = code_block(START, "sh", "pip install sync-streams")
    project.shell(install.splitlines()[-1])
    project.shell(code_block(START, "sh", "token_hex"))
    project.add_files(START)
    *steps, last = code_block(START, "sh", "migrate").splitlines()
    assert last == RUNSERVER
    project.shell("\n".join(steps))
    return project


@pytest.fixture
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browser_path, headless=True, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()
