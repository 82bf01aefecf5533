"""Tabs that tests use one after another.

A profile, a tab and the process that draws it take longer to make than most tests.
"""

from playwright.async_api import BrowserContext, Error, Page, ViewportSize

SIZE = ViewportSize(width=1280, height=720)


class Tabs:
    """Tabs of one profile.

    A test finds them like new ones, except for the profile's cookies and cached files.
    A test that changes cookies or the network uses a profile of its own.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self._waiting: list[Page] = []
        self._taken: list[Page] = []

    async def take(self) -> Page:
        """Return a tab that does not show the site."""
        page = self._waiting.pop() if self._waiting else await self.context.new_page()
        self._taken.append(page)
        await page.set_viewport_size(SIZE)
        await page.emulate_media(color_scheme="null", reduced_motion="null")
        return page

    async def park(self, url: str) -> None:
        """Leave the pages of the used tabs, and remove their storage.

        Args:
            url: of the site's origin, or the tab would need another process.
        """
        while self._taken:
            page = self._taken.pop()
            try:
                await page.goto(url, wait_until="commit")
                await page.evaluate("localStorage.clear()")
            except Error:
                await page.close()
            else:
                self._waiting.append(page)
