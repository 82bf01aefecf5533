"""Steps of the tutorials that need users, in a project and in a browser."""

import sqlite3
from contextlib import closing

import pytest
from playwright.async_api import Browser, Page

from tests.documents import code_block, code_blocks
from tests.site.project import FEED, ORDERS, Project

USERS = ("alice", "bob")
PASSWORD = "a long password"

in_browser = pytest.mark.asyncio(loop_scope="session")
"""A test in the browser that all share."""


def with_tutorial(project: Project, *documents: str) -> Project:
    """Follow tutorials up to the start of the server."""
    for document in documents:
        starts = [b for b in code_blocks(document, "sh") if "startapp" in b]
        for block in starts:
            project.shell(block)
        project.add_files(document)
    if ORDERS in documents:
        migrate = code_block(ORDERS, "sh", "makemigrations").splitlines()[:2]
        project.shell("\n".join(migrate))
    return project


def add_users(project: Project) -> None:
    """Add the users of the tutorials, the same in all of them."""
    project.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    block = code_block(FEED, "sh", "createsuperuser").splitlines()[0]
    project.shell(f"{block} --noinput")
    # The others are copies: another start of Django takes two seconds of a core.
    with closing(sqlite3.connect(project.folder / "db.sqlite3")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(auth_user)")]
        same = ", ".join(one for one in columns if one not in {"id", "username"})
        database.execute(
            f"INSERT INTO auth_user (username, {same}) SELECT ?, {same} FROM auth_user",
            USERS[1:],
        )


async def log_in(browser: Browser, project: Project, user: str, path: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(f"http://{project.origin}{path}")
    await page.fill("[name=username]", user)
    await page.fill("[name=password]", PASSWORD)
    await page.click("[type=submit]")
    return page
