"""The page of a rehearsal, in a browser: it reads without network, on a phone and in the dark, and shows mails as they
look without letting them do anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from activities.channels.channel import Message
from console.rehearsal import Line, Rehearsed
from console.rehearsal import page as render
from records.runs.rehearsed import RehearsedContact, RehearsedRun, RehearsedTouch

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVIL = "<script>document.title = 'evil'</script>"
MAIL = (
    "<html><body><h1>Hello Ann</h1><p style='color:red'>Three coffees</p><script>parent.document.title='evil'</script>"
    '<img src="https://pixel.example/o.gif" width="1" height="1" alt=""></body></html>'
)


def line(customer: str, channel: str, after: timedelta, *, html: str | None = None, because: str | None = None) -> Line:
    touch = RehearsedTouch(
        customer, "hello", 1, "step", 1, channel, f"{channel}/message", START + after,
        "skipped" if because else "sent", because, f"key-{customer}-{channel}-{after}",
    )  # fmt: skip
    if because:
        return Line(touch)
    message = Message(
        touch.key, "ann@acme.example", f"Hello & {EVIL}" if html else None, f"Text {EVIL}", html, "en", touch.at
    )
    return Line(touch, message)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A page with everything on it."""
    contacts = [
        RehearsedContact(1, "ann", "ann@acme.example", None, f"Ann {EVIL}", "Asia/Tokyo", None),
        RehearsedContact(2, "bob", None, "+4915112345678", "Bob", None, None),
        *(RehearsedContact(n, f"c{n}", None, None, f"Contact {n}", None, None) for n in range(3, 12)),
    ]
    lines = [
        line("ann", "email", timedelta(hours=1), html=MAIL),
        line("ann", "sms", timedelta(days=2, hours=8)),
        line("bob", "webhook", timedelta(days=3)),
        line("bob", "email", timedelta(days=4), because=f"no consent {EVIL}"),
    ]
    runs = [
        RehearsedRun("ann", "hello", "converted", START + timedelta(days=5), START, 1),
        RehearsedRun("bob", "hello", None, None, START, 2),
    ]
    came = Rehearsed("Acme", "UTC", {"hello": f"Hello {EVIL}"}, START, 14, contacts, lines, runs)
    path = tmp_path / "page.html"
    path.write_text(render(came), encoding="utf-8")
    return path


async def test_it_shows_who_gets_what_on_the_contacts_own_day(page: Page, file: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(file.as_uri())
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Hello {EVIL}")
    # 17:00 UTC on the 4th is 02:00 on the 5th in Tokyo.
    await page.locator("a.cell", has_text="5").first.click()
    assert page.url.endswith("#day-2026-03-05")
    day = page.locator("#day-2026-03-05")
    await expect(day).to_contain_text("02:00")
    await page.locator(".who summary", has_text="Bob").first.click()
    await expect(page.locator(".who[open]", has_text="Bob")).to_contain_text(f"not sent: no consent {EVIL}")
    assert await page.title() == f"Rehearsal: Hello {EVIL}"
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []


async def test_a_mail_is_shown_as_it_looks_and_can_do_nothing(page: Page, file: Path) -> None:
    await page.goto(file.as_uri())
    await page.locator("#message-1 summary").click()
    mail = page.frame_locator("#message-1 iframe")
    await expect(mail.get_by_role("heading", name="Hello Ann")).to_be_visible()
    assert await mail.get_by_text("Three coffees").evaluate("one => getComputedStyle(one).color") == "rgb(255, 0, 0)"
    assert await page.title() == f"Rehearsal: Hello {EVIL}"
    assert "pixel.example" not in file.read_text(encoding="utf-8")
    assert await page.locator("#message-1 iframe").get_attribute("sandbox") == ""


async def test_a_contact_is_found_by_a_part_of_its_name(page: Page, file: Path) -> None:
    await page.goto(file.as_uri())
    await page.get_by_label("Find a contact").fill("contact 7")
    await expect(page.locator(".who:visible")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_and_reads_without_scripts(browser: Browser, file: Path, scheme: str) -> None:
    context = await browser.new_context(
        viewport={"width": 360, "height": 740}, java_script_enabled=False,
        color_scheme="dark" if scheme == "dark" else "light",
    )  # fmt: skip
    shown = await context.new_page()
    await shown.goto(file.as_uri())
    box = await shown.locator("table.calendar").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    await shown.locator(".who summary", has_text="Bob").first.click()
    await expect(shown.locator(".who[open]", has_text="Bob")).to_be_visible()
    await context.close()
