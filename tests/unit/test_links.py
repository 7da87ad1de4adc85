"""Links in messages are signed, and tracking a mail changes nothing but its web links."""

import re

import pytest

from activities.messages.links import BrokenLinkError, Click, Links, Unsubscribe

BASE = "https://mail.acme.example"
LINKS = Links("a-secret-of-some-length", BASE + "/")


def token(url: str) -> str:
    return url.rsplit("/", 1)[1].removesuffix(".gif")


def test_a_token_says_what_was_put_into_it() -> None:
    unsubscribe = LINKS.unsubscribe(customer_id=7, channel="email", touch_key="wm-1")
    assert LINKS.read_unsubscribe(token(unsubscribe)) == Unsubscribe(7, "email", "wm-1")
    assert LINKS.read_click(token(LINKS.click("https://x.example/?a=1&b=ü", "wm-1"))) == Click(
        "https://x.example/?a=1&b=ü", "wm-1"
    )
    assert LINKS.read_pixel(token(LINKS.pixel("wm-1"))) == "wm-1"


def test_the_same_link_is_the_same_at_every_attempt() -> None:
    assert LINKS.click("https://x.example", "wm-1") == LINKS.click("https://x.example", "wm-1")


@pytest.mark.parametrize("broken", ["", "x", "eyJhIjoxfQ.abc", token(LINKS.pixel("wm-1"))[:-1]])
def test_a_broken_token_is_refused(broken: str) -> None:
    with pytest.raises(BrokenLinkError):
        LINKS.read_click(broken)
    with pytest.raises(BrokenLinkError):
        LINKS.read_unsubscribe(broken)
    with pytest.raises(BrokenLinkError):
        LINKS.read_pixel(broken)


def test_another_secret_reads_nothing() -> None:
    with pytest.raises(BrokenLinkError):
        Links("another-secret-entirely", BASE).read_pixel(token(LINKS.pixel("wm-1")))


def test_web_links_are_tracked_and_lead_to_where_they_led() -> None:
    page = '<body><a class="b" href="https://x.example/?a=1&amp;b=2">go</a> <A HREF=\'http://y.example\'>y</A></body>'
    tracked = LINKS.track(page, "wm-1")
    found = re.findall(rf'href="{BASE}/c/([^"]+)"', tracked, re.IGNORECASE)
    assert [LINKS.read_click(one).url for one in found] == ["https://x.example/?a=1&b=2", "http://y.example"]
    assert 'class="b"' in tracked


@pytest.mark.parametrize(
    "link", ["mailto:ada@acme.example", "tel:+4930901820", "#top", "/relative", f"{BASE}/u/token", "{{ nothing }}"]
)
def test_other_links_are_left_alone(link: str) -> None:
    page = f'<a href="{link}">x</a>'
    assert LINKS.track(page, "wm-1").startswith(page)


def test_the_pixel_stands_once_before_the_end_of_the_body() -> None:
    tracked = LINKS.track("<html><body><p>Hello</p></body></html>", "wm-1")
    assert re.search(
        rf'<p>Hello</p><img src="{BASE}/o/[^"]+\.gif" width="1" height="1" alt=""></body></html>$', tracked
    )
    assert LINKS.track("<p>Hello</p>", "wm-1").count("<img") == 1


def test_text_in_the_page_is_not_taken_for_a_link() -> None:
    page = "<p>Write href=\"https://x.example\" by hand</p><abbr href='https://x.example'>a</abbr>"
    assert LINKS.track(page, "wm-1").startswith(page)
