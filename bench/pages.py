"""Measures the pages in Chromium on a busy site: ``python -m bench.pages``.

The site has 200 Services, 10,000 Streams and 5,000 subscribed connections, and 500
Messages a second are published to 20 Streams, which each page shows live. For each page
it prints the share of a core that its main thread used (``TaskDuration`` in thread
time, https://chromedevtools.github.io/devtools-protocol/tot/Performance/) and the time
between two frames. Frames need a machine with a core to spare for the browser.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

import django
from django.utils import timezone
from playwright.async_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    async_playwright,
)

from project.ports import free_port

from . import accounts, dialects, machine
from .generator import Generator, Load
from .process import Server, python, run

SERVICES, STREAMS = 200, 10_000
SUBSCRIBED, BUSY = 1_000, 20
"""Streams that connections subscribe to; those of them that are published to."""

PUBLISHERS = 4
VISIT_SECONDS = 60
"""Time for a page to load."""

PASSWORD = "password-of-the-bench"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

FRAMES = """seconds => new Promise((resolve) => {
  const gaps = [];
  let before = performance.now();
  const end = before + seconds * 1000;
  const frame = (now) => {
    gaps.push(now - before);
    before = now;
    if (now < end) return requestAnimationFrame(frame);
    gaps.sort((one, other) => one - other);
    resolve([0.5, 0.95, 1].map((share) => gaps[Math.ceil(share * gaps.length) - 1]));
  };
  requestAnimationFrame(frame);
})"""
"""Returns the median, the 95th percentile and the largest gap between frames, in ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """What one page cost."""

    page: str
    busy: float
    """Share of a core that its main thread used."""

    gaps: tuple[float, float, float]
    """Time between two frames in ms: median, 95th percentile, largest."""

    messages: int
    """Messages that the page reports as received in that time; -1: it shows none."""


def main() -> None:
    """Measure every page and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=500, help="Messages a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--browser", default="chromium", help="its path")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--seed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seed:
        return seed()
    machine.raise_descriptor_limit()
    # A signal must also stop the servers that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with _site() as server, ExitStack() as stack:
        quiet = Load(subscribers=options.connections, streams=SUBSCRIBED)
        busy = Load(subscribers=BUSY, streams=BUSY, publishers=PUBLISHERS)
        _, publishing = [
            stack.enter_context(
                Generator(
                    dialects.product(load.streams, load.size), load, port=server.port
                )
            )
            for load in (quiet, busy)
        ]
        publishing.tell(f"rate {options.rate}")
        asyncio.run(_visit_all(server, options))
    return None


def seed() -> None:
    """Fill the database; the busy Streams are the newest."""
    django.setup()
    # After django.setup(), which models need.
    from sync_streams.models import Stream  # noqa: PLC0415
    from sync_streams.operations import create_service, get_service  # noqa: PLC0415

    default = get_service(accounts.ACCOUNT_SID, "default")
    services = [create_service(accounts.ACCOUNT_SID) for _ in range(SERVICES - 1)]
    others = [
        Stream(unique_name=f"stream-{n}", service=services[n % len(services)])
        for n in range(STREAMS - SUBSCRIBED)
    ]
    now = timezone.now()
    named = [
        Stream(
            sid=dialects.stream_sid(n),
            unique_name=f"bench-{n}",
            service=default,
            date_created=now + timedelta(milliseconds=SUBSCRIBED - n),
        )
        for n in range(SUBSCRIBED)
    ]
    Stream.objects.bulk_create([*others, *named], batch_size=1_000)


@contextmanager
def _site() -> Iterator[Server]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        env = accounts.ENVIRONMENT | {
            "DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "ADMIN_PASSWORD": PASSWORD,
            "PORT": str(port),
        }
        run(python("project", "provision"), env=env)
        run(python("bench.pages", "--seed"), env=env)
        with Server(python("project"), port=port, env=env) as server:
            yield server


async def _visit_all(server: Server, options: argparse.Namespace) -> None:
    seconds = options.seconds
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_path_of(options.browser), args=list(FLAGS)
        )
        root = f"http://127.0.0.1:{server.port}"
        context = await _log_in(browser, root)
        cpu = machine.cpu_seconds(server.pids)
        print(
            f"{'page':28} {'busy':>6} {'frame gap p50/p95/max, ms':>26} {'Messages':>9}"
        )
        for name, path in await _pages(context, root):
            if options.only not in name:
                continue
            async with asyncio.timeout(VISIT_SECONDS + seconds):
                visit = await _visit(context, name, path, seconds)
            gaps = "/".join(f"{gap:.1f}" for gap in visit.gaps)
            print(f"{name:28} {visit.busy:6.1%} {gaps:>26} {visit.messages:9,}")
            sys.stdout.flush()
        cpu = machine.cpu_seconds(server.pids) - cpu
        print(f"load average {os.getloadavg()[0]:.1f}; server used {cpu:.1f} s of CPU")
        await browser.close()


async def _log_in(browser: Browser, root: str) -> BrowserContext:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(f"{root}/admin/login/")
    await page.fill("#id_username", "admin")
    await page.fill("#id_password", PASSWORD)
    await page.click("[type=submit]")
    await page.close()
    return context


async def _pages(context: BrowserContext, root: str) -> list[tuple[str, str]]:
    admin = f"{root}/admin/sync_streams"
    page = await context.new_page()
    await page.goto(f"{admin}/service/?q=default")
    link = page.locator("#result_list tbody th a").first
    service = root + (await link.get_attribute("href") or "").partition("change/")[0]
    await page.close()
    names = ",".join(f"bench-{n}" for n in range(BUSY))
    return [
        ("monitor of a Service", f"{service}monitor/"),
        ("console, 20 Streams", f"{root}/#{names}"),
        ("overview", f"{admin}/service/overview/"),
        ("connections", f"{admin}/service/connections/"),
        ("processes", f"{admin}/service/processes/"),
        ("list of Streams", f"{admin}/stream/"),
        ("list of Services", f"{admin}/service/"),
    ]


async def _visit(context: BrowserContext, name: str, url: str, seconds: float) -> Visit:
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_timeout(3_000)  # loading is not measured
    session = await context.new_cdp_session(page)
    # Otherwise the time in which other programs had the core would count, too.
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    received, used, began = await _received(page), await _used(session), monotonic()
    gaps = await page.evaluate(FRAMES, seconds)
    used, took = await _used(session) - used, monotonic() - began
    messages = await _received(page) - received if received >= 0 else -1
    await page.close()
    return Visit(page=name, busy=used / took, gaps=tuple(gaps), messages=messages)


async def _used(session: CDPSession) -> float:
    answer = await session.send("Performance.getMetrics")
    values = {one["name"]: one["value"] for one in answer["metrics"]}
    return float(values["TaskDuration"])


async def _received(page: Page) -> int:
    place = page.locator("[data-count=received], #total")
    if not await place.count():
        return -1
    return int((await place.first.inner_text()).replace(",", ""))


def _path_of(browser: str) -> str:
    return browser if Path(browser).exists() else f"/usr/bin/{browser}"


if __name__ == "__main__":
    main()
