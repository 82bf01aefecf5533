"""Fixtures for all tests: servers that are started when the first test needs them."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.core.management import sql
from django.core.management.commands import flush
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser

from tests.browser.chromium import launched
from tests.clock import clock as clock
from tests.clock import jump as jump
from tests.clock import set_clock as set_clock
from tests.clock import wait as wait
from tests.programs import (
    DemoSite,
    PostgresServer,
    RedisServer,
    browser_binary,
    built_wheel,
)
from tests.secrecy import watching
from tests.settings import TEST_DATABASE
from tests.sharing import Scheduling, arranged, once, rotated

StartSite = Callable[..., DemoSite]
StartRedis = Callable[..., RedisServer]

TESTS = Path(__file__).parent

# A busy machine is not a fault of the tested code.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", settings.get_profile("busy"), max_examples=300)
settings.load_profile("busy")

FIGURES = "figures of a fault"
"""Property of a test that holds a row of the table that is printed in the end."""

HEADS = (
    *("fault", "delivers again after", "Messages lost", "of these told"),
    *("sockets lost", "otherwise"),
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the results of tests/faults as the table in docs/deployment.md."""
    rows = [
        tuple(row)
        for report in terminalreporter.stats.get("passed", [])
        for name, row in report.user_properties
        if report.when == "call" and name == FIGURES
    ]
    if rows:
        terminalreporter.section("figures")
        terminalreporter.write_line(_table([HEADS, *sorted(rows)]))


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


@pytest.hookimpl(wrapper=True)
def pytest_collection(
    session: pytest.Session,
) -> Generator[None, object, object]:
    """Collect the tests without garbage collections, and exempt them from later ones.

    Otherwise every collection visits all modules and tests, which stay to the end: that
    takes two of the six seconds, in each process.

    Each worker starts in a different folder. In a new clone pytest compiles every test
    file; the first worker that needs one does so for the others.
    """
    config = session.config
    if hasattr(config, "workerinput") and config.args == [TESTS.name]:
        config.args = rotated(TESTS, config.workerinput)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Arrange the tests for several workers."""
    in_worker = "PYTEST_XDIST_WORKER" in os.environ
    if in_worker:
        items.sort(key=lambda one: one.path)  # wherever each started
    yield
    if in_worker:
        items[:] = arranged(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Divide the tests among the processes, in the order that they are arranged in."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_unconfigure() -> None:
    """Remove what SQLite leaves beside the database while threads hold it open."""
    for file in TEST_DATABASE.parent.glob(f"{TEST_DATABASE.name}*"):
        file.unlink(missing_ok=True)


KEPT_TABLES = "django_content_type", "auth_permission"
"""Tables that migrations fill; no test changes them."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Keep the rows that migrations create when tables are emptied after a test.

    Otherwise Django creates them again after each test, which takes longer than most
    tests.
    """

    def sql_flush(*arguments: Any, **options: Any) -> list[str]:
        found = sql.sql_flush(*arguments, **options)
        return [
            each
            for each in found
            if not any(f'"{name}"' in each for name in KEPT_TABLES)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", sql_flush)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged() -> Iterator[None]:
    """Check the log of every test for secrets."""
    with watching("") as everything:
        yield
    assert everything.found == []


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis server: ``REDIS_TEST_URL``, or one that runs for the tests."""
    if given := os.environ.get("REDIS_TEST_URL"):
        yield given
        return
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    """Start a Redis of the test's own, ``start_redis("--port", "6379")``."""
    with ExitStack() as servers:
        yield lambda *options: servers.enter_context(RedisServer(*options))


@pytest.fixture
def redis_server(start_redis: StartRedis) -> RedisServer:
    """A Redis of the test's own."""
    return start_redis()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database on a PostgreSQL server that runs for the tests."""
    with PostgresServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's wheel, built once for all processes."""
    [wheel] = once(tmp_path_factory, "wheel", built_wheel).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Path of a Chromium, for Playwright's ``executable_path``."""
    return browser_binary()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    """A Chromium for all tests."""
    async with launched(browser_path) as browser:
        yield browser


@pytest.fixture(scope="session")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    with DemoSite(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def embedded(_embedded: DemoSite) -> DemoSite:
    """The demo site as ``make run`` starts it, shared by all tests."""
    _embedded.ensure_running()
    return _embedded


@pytest.fixture
def start_site(tmp_path: Path) -> Iterator[StartSite]:
    """Start a separate demo site for the test, ``start_site(NAME=value)``."""
    with ExitStack() as sites:

        def start(data_dir: Path = tmp_path, **environ: str) -> DemoSite:
            return sites.enter_context(DemoSite(data_dir, **environ))

        yield start
