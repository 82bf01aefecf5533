"""A project after Getting started, and a browser."""

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.documents import code_block
from tests.programs import free_port
from tests.sharing import once
from tests.site.project import (
    ORDERS,
    RUNSERVER,
    START,
    VENV,
    Project,
    new_environment,
)
from tests.site.steps import add_users, with_tutorial


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """An environment with the wheel, for all processes."""
    make = partial(new_environment, wheel=wheel)
    return once(tmp_path_factory, "environment", make) / VENV


@pytest.fixture(scope="session")
def begun(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after the steps before the server runs, to be copied."""
    return once(tmp_path_factory, "begun", partial(begin, environment))


def begin(environment: Path, folder: Path) -> None:
    project = Project(folder, environment, free_port())
    install = code_block(START, "sh", "pip install sync-streams")
    project.shell(install.splitlines()[-1])
    project.shell(code_block(START, "sh", "token_hex"))
    project.add_files(START)
    *steps, last = code_block(START, "sh", "migrate").splitlines()
    assert last == RUNSERVER
    project.shell("\n".join(steps))
    add_users(project)


@pytest.fixture(scope="session")
def ordered(
    begun: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project after the tutorial on orders, to be copied."""

    def order(folder: Path) -> None:
        shutil.copytree(begun, folder, dirs_exist_ok=True)
        with_tutorial(Project(folder, environment, free_port()), ORDERS)

    return once(tmp_path_factory, "ordered", order)


@pytest.fixture
def orders(ordered: Path, environment: Path, tmp_path: Path) -> Project:
    """A project for this test alone, after the tutorial on orders."""
    shutil.copytree(ordered, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path, environment, free_port())


@pytest.fixture
def project(begun: Path, environment: Path, tmp_path: Path) -> Project:
    """A project for this test alone, after those steps."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path, environment, free_port())


@pytest_asyncio.fixture(loop_scope="session")
async def browser(browser: Browser) -> AsyncIterator[Browser]:
    """The browser of all tests, which loses the profiles that a test makes."""
    before = browser.contexts
    yield browser
    for context in browser.contexts:
        if context not in before:
            await context.close()
