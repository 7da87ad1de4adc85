"""One Chromium a run, one clean page a test.

The asynchronous interface: the synchronous one keeps a loop running, in which no other test of the run could start its
own.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.catchers import mail_catcher, mails, sms_catcher, texts
from tests.patience import PATIENCE
from tools.browser import ADVICE, find

__all__ = ["mail_catcher", "mails", "sms_catcher", "texts"]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this run."""
    path = await asyncio.to_thread(find)
    if path is None:
        pytest.fail(f"There is no Chromium here. {ADVICE}", pytrace=False)
    expect.set_options(timeout=PATIENCE * 1000)
    async with async_playwright() as playwright:
        # No sandbox: the tests may run as root, and open nothing but our own pages.
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own, which fails the test when a script of ours throws."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB", timezone_id="UTC")
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert errors == []
