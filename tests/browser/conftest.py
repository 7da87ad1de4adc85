"""One Chromium a run, one clean page a test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.catchers import mail_catcher, mails, sms_catcher, texts
from tools.browser import ADVICE, find

__all__ = ["mail_catcher", "mails", "sms_catcher", "texts"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of this run."""
    path = find()
    if path is None:
        pytest.fail(f"There is no Chromium here. {ADVICE}", pytrace=False)
    with sync_playwright() as playwright:
        # No sandbox: the tests may run as root, and open nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own, which fails the test when a script of ours throws."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
