"""A page in a real browser."""

import contextlib
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, Page, async_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE_MS = 15_000


@contextlib.asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "the browser tests need the package `chromium`: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def browser_page(browser: Browser | None = None) -> AsyncIterator[Page]:
    """Return a page without cookies, storage or cache of others; by default in a browser of its own."""
    if browser is None:
        async with running_browser() as own, browser_page(own) as page:
            yield page
        return
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.set_default_timeout(DEADLINE_MS)
        yield page
    finally:
        await context.close()
