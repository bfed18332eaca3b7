"""A page in a real browser."""

import contextlib
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Page, async_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE_MS = 15_000


@contextlib.asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "the browser tests need the package `chromium`: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            page = await browser.new_page()
            page.set_default_timeout(DEADLINE_MS)
            yield page
        finally:
            await browser.close()
