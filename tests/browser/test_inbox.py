"""The catchers' pages in a real browser."""

import smtplib
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.catchers import MailCatcher, SmsCatcher
from tests.patience import PATIENCE

ADA = "+4915112345678"
ROW = "table.mails tbody tr"


def send(mails: MailCatcher, subject: str, to: str = "Ada Lovelace <ada@example.com>", html: str = "") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Kettlewick Coffee <hello@kettlewick.example>", to, subject
    mail["Date"], mail["List-Unsubscribe"] = "Sun, 01 Mar 2026 12:00:00 +0000", "<https://kettlewick.example/u/1>"
    mail.set_content("您好，小明！")
    mail.add_alternative(
        html or "<h1>您好，小明！</h1><p><a href='https://kettlewick.example/'>Visit us</a></p>", "html"
    )
    address = urlsplit(mails.smtp_url)
    with smtplib.SMTP(str(address.hostname), address.port or 25) as smtp:
        smtp.send_message(mail)


def text(texts: SmsCatcher, body: str, to: str = ADA) -> None:
    url = f"{texts.url}/2010-04-01/Accounts/{texts.account_sid}/Messages.json"
    form = {"From": "+15005550006", "To": to, "Body": body}
    httpx.post(url, data=form, auth=(texts.account_sid, texts.auth_token), timeout=PATIENCE).raise_for_status()


async def test_an_empty_inbox_says_so_and_fills_by_itself(mails: MailCatcher, page: Page) -> None:
    await page.goto(mails.url)
    await expect(page.get_by_text("No mail yet.")).to_be_visible()
    send(mails, "欢迎来到我们的商店")
    await expect(page.get_by_role("link", name="欢迎来到我们的商店")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("1 mail")
    await expect(page).to_have_title("(1) Inbox · Waymark")


async def test_the_inbox_shows_to_subject_from_and_date(mails: MailCatcher, page: Page) -> None:
    send(mails, "Three coffees, on us")
    await page.goto(mails.url)
    row = page.locator(ROW)
    for shown in (
        "Ada Lovelace",
        "ada@example.com",
        "Three coffees, on us",
        "您好，小明！",
        "Kettlewick Coffee",
        "1 Mar",
    ):
        await expect(row).to_contain_text(shown)


async def test_new_mail_arrives_without_touching_the_rows_that_are_there(mails: MailCatcher, page: Page) -> None:
    send(mails, "First")
    await page.goto(mails.url)
    await page.locator(ROW).evaluate("row => { row.mark = 'the same element' }")
    await page.get_by_role("link", name="First").focus()
    send(mails, "Second")
    await expect(page.locator(f"{ROW} .subject a")).to_have_text(["Second", "First"])
    assert await page.locator(ROW).nth(1).evaluate("row => row.mark") == "the same element"
    await expect(page.get_by_role("link", name="First")).to_be_focused()


async def test_typing_searches_by_recipient_and_subject(mails: MailCatcher, page: Page) -> None:
    send(mails, "Renewal", to="bob@example.com")
    send(mails, "Welcome")
    send(mails, "Renewal")
    await page.goto(mails.url)
    await page.get_by_label("To").fill("lovelace")
    await expect(page.locator(ROW)).to_have_count(2)
    await page.get_by_label("Subject").fill("renew")
    await expect(page.locator(ROW)).to_have_count(1)
    await expect(page.get_by_role("status")).to_have_text("1 of 3 mails")
    await page.get_by_label("Subject").fill("nothing like it")
    await expect(page.get_by_text("Nothing matches.")).to_be_visible()
    await page.get_by_role("link", name="Show all").click()
    await expect(page.locator(ROW)).to_have_count(3)


async def test_older_mail_is_on_further_pages(mails: MailCatcher, page: Page) -> None:
    for number in range(60):
        send(mails, f"Mail {number}")
    await page.goto(mails.url)
    await expect(page.locator(ROW)).to_have_count(50)
    await page.get_by_role("link", name="Older").click()
    await expect(page.locator(f"{ROW} .subject a").first).to_have_text("Mail 9")
    await page.get_by_role("link", name="Newest").click()
    await expect(page.locator(f"{ROW} .subject a").first).to_have_text("Mail 59")


async def test_a_mail_can_be_read_as_page_text_and_source(mails: MailCatcher, page: Page) -> None:
    send(mails, "欢迎")
    await page.goto(mails.url)
    await page.keyboard.press("Tab")
    await page.get_by_role("link", name="欢迎").press("Enter")
    await expect(page.get_by_role("heading", name="欢迎")).to_be_visible()
    await expect(page.frame_locator("iframe").get_by_role("heading", name="您好，小明！")).to_be_visible()
    await expect(page.get_by_role("link", name="https://kettlewick.example/u/1")).to_be_visible()
    await page.get_by_role("link", name="Text", exact=True).click()
    await expect(page.locator("pre.text")).to_have_text("您好，小明！")
    await page.get_by_role("link", name="Source").click()
    await expect(page.locator("pre.source")).to_contain_text("Return-Path: <hello@kettlewick.example>")


async def test_a_mail_runs_no_script_and_loads_nothing_from_elsewhere(mails: MailCatcher, page: Page) -> None:
    asked: list[str] = []

    async def elsewhere(route: Route) -> None:
        asked.append(route.request.url)
        await route.abort()

    await page.route("https://evil.example/**", elsewhere)
    send(
        mails,
        "Hostile",
        html="<script>parent.document.title = document.title = 'owned'</script><img src='https://evil.example/open.png'>"
        "<link rel=stylesheet href='https://evil.example/a.css'><img src=x onerror='top.location=\"https://evil.example\"'>"
        "<iframe src='https://evil.example'></iframe><p>still readable</p>",
    )
    await page.goto(mails.url)
    await page.get_by_role("link", name="Hostile").click()
    await expect(page.frame_locator("iframe").first.get_by_text("still readable")).to_be_visible()
    assert asked == []
    await expect(page).to_have_title("Hostile · Waymark")


async def test_a_subject_is_text_and_not_markup(mails: MailCatcher, page: Page) -> None:
    send(mails, "<img src=x onerror=alert(1)>", to='"<b>Ada</b>" <ada@example.com>')
    await page.goto(mails.url)
    await expect(page.locator(f"{ROW} .subject a")).to_have_text("<img src=x onerror=alert(1)>")


async def test_emptying_asks_first(mails: MailCatcher, page: Page) -> None:
    send(mails, "Stays")
    await page.goto(mails.url)
    page.once("dialog", lambda dialog: dialog.dismiss())
    await page.get_by_role("button", name="Empty").click()
    assert len(mails.messages()) == 1
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Empty").click()
    await expect(page.get_by_text("No mail yet.")).to_be_visible()


async def test_texts_appear_as_a_conversation(texts: SmsCatcher, page: Page) -> None:
    await page.goto(texts.url)
    await expect(page.get_by_text("No texts yet.")).to_be_visible()
    text(texts, "您好，小明！免费尝鲜盒还给你留着。")
    await expect(page.locator(".bubbles li")).to_contain_text("免费尝鲜盒还给你留着")
    await expect(page.locator(".bubbles .status")).to_have_text("delivered")


async def test_a_reply_is_typed_as_the_customer_and_not_lost_to_a_refresh(texts: SmsCatcher, page: Page) -> None:
    text(texts, "Shall we call you?")
    await page.goto(texts.url)
    box = page.get_by_label(f"Reply as {ADA}")
    await box.fill("Yes")
    text(texts, "Or tomorrow?")
    await expect(page.locator(".bubbles li")).to_have_count(2)
    await expect(box).to_have_value("Yes")
    await expect(box).to_be_focused()
    await box.press("Enter")
    await expect(page.locator(".bubbles li.inbound p")).to_have_text("Yes")
    await expect(box).to_have_value("")
    await page.get_by_role("button", name="STOP").click()
    await expect(page.get_by_text("answered STOP")).to_be_visible()


async def test_each_conversation_has_its_own_page(texts: SmsCatcher, page: Page) -> None:
    text(texts, "Hello Ada")
    text(texts, "Hello Bob", to="+12025550143")
    await page.goto(texts.url)
    await page.get_by_role("link", name=ADA).click()
    await expect(page.locator(".bubbles p")).to_have_text("Hello Ada")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_the_pages_fit_and_can_be_read(
    mails: MailCatcher, texts: SmsCatcher, browser: Browser, scheme: str, width: int
) -> None:
    send(mails, "A rather long subject that goes on and on until no narrow screen can hold it any more, 你好")
    text(texts, "Hello Ada")
    context = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    for url in (mails.url, f"{mails.url}/messages/{mails.messages()[0]['id']}", texts.url):
        await page.goto(url)
        await expect(page.locator("main")).to_be_visible()
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0
        assert await page.evaluate(_FAINTEST) >= 4.5
    await context.close()


# The lowest contrast (WCAG 2) of any text on the page against the nearest opaque ground behind it.
_FAINTEST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data; };
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const ground = element => { for (; element; element = element.parentElement) {
    const found = rgba(getComputedStyle(element).backgroundColor); if (found[3] > 200) return found; }
    return rgba("white"); };
  let lowest = 21;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest(":disabled, script") || !element.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    lowest = Math.min(lowest, (a + .05) / (b + .05));
  }
  return lowest;
}"""
