"""How the tests start Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The first two would start two more renderers for each window, for an address bar
    # that no test uses; the others are Playwright's own, which this option replaces.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,OptimizationHints,"
    "NetworkTimeServiceQuerying,PaintHolding,ThirdPartyStoragePartitioning",
]


@asynccontextmanager
async def launched(path: str) -> AsyncIterator[Browser]:
    """Start the Chromium at a path, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()
