"""What a mail looks like before it leaves: headers, encodings, and nothing smuggled in."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.channels.channel import Message
from activities.channels.mime import Mailbox, Unsendable, compose, message_id

SENDER = Mailbox.parse_named("Waymark <hello@shop.example>")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EXPECTED_HEADERS = {
    "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-language",
    "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
}  # fmt: skip


def message(**changes: Any) -> Message:
    fields: dict[str, Any] = {
        "key": "welcome.12.1",
        "address": "ada@example.com",
        "subject": "Hello",
        "text": "Hello Ada",
        "html": "<p>Hello Ada</p>",
        "locale": "en",
        "at": NOON,
        "unsubscribe_url": "https://shop.example/u/abc",
        "name": "Ada Lovelace",
    }
    return Message(**(fields | changes))


def composed(**changes: Any) -> bytes:
    wanted = message(**changes)
    return compose(wanted, SENDER, Mailbox.parse(wanted.address, wanted.name))


def reparsed(mail: bytes) -> EmailMessage:
    parsed = message_from_bytes(mail, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_plain_text_comes_first_and_the_html_last() -> None:
    parts = list(reparsed(composed()).iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]


def test_a_message_without_html_is_plain_text() -> None:
    assert reparsed(composed(html=None)).get_content_type() == "text/plain"


def test_the_date_is_the_moment_of_the_decision_in_utc() -> None:
    eight_in_singapore = datetime(2026, 3, 1, 20, 0, tzinfo=timezone(timedelta(hours=8)))
    assert reparsed(composed(at=eight_in_singapore))["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        message(at=datetime(2026, 3, 1, 12, 0))  # noqa: DTZ001


def test_the_message_id_is_made_of_the_key_and_the_senders_domain() -> None:
    assert reparsed(composed())["Message-ID"] == "<welcome.12.1@shop.example>"


def test_the_same_message_gives_the_same_bytes() -> None:
    assert composed() == composed()


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_every_key_gives_a_valid_message_id_of_its_own(key: str, other: str) -> None:
    identifier = message_id(key, "shop.example")
    assert identifier.isascii()
    assert not any(c in identifier for c in ' \r\n\t()\\"')
    assert identifier.count("@") == 1
    assert (key == other) == (identifier == message_id(other, "shop.example")) or "=" in key + other


def test_a_reader_can_unsubscribe_with_one_click() -> None:
    mail = reparsed(composed())
    assert mail["List-Unsubscribe"] == "<https://shop.example/u/abc>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_one_click_is_not_promised_over_plain_http() -> None:
    mail = reparsed(composed(unsubscribe_url="http://shop.example/u/abc"))
    assert mail["List-Unsubscribe"]
    assert mail["List-Unsubscribe-Post"] is None


def test_a_long_unsubscribe_link_stays_in_one_piece() -> None:
    url = "https://shop.example/u/" + "a1-_" * 60
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in composed(unsubscribe_url=url)


@pytest.mark.parametrize(
    "url", ["https://a.example/\r\nBcc: x@y.example", "javascript:alert(1)", "https://a/ b", "https://a/>"]
)
def test_an_unsubscribe_link_that_is_no_link_is_refused(url: str) -> None:
    with pytest.raises(Unsendable, match="unsubscribe link"):
        composed(unsubscribe_url=url)


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: x@y.example", "Hello\nworld", "Hello\x00", "Hello\u2028there"])
def test_a_subject_with_a_line_break_is_refused(subject: str) -> None:
    with pytest.raises(Unsendable, match="line break"):
        composed(subject=subject)


@pytest.mark.parametrize("subject", [None, "", "  "])
def test_a_mail_without_a_subject_is_refused(subject: str | None) -> None:
    with pytest.raises(Unsendable, match="no subject"):
        composed(subject=subject)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=300))
def test_any_subject_survives_the_way(subject: str) -> None:
    if not subject.strip():
        return
    parsed = reparsed(composed(subject=subject))
    assert str(parsed["Subject"]).split() == subject.split()


@given(st.text(max_size=120))
def test_any_name_survives_the_way_and_brings_no_header_with_it(name: str) -> None:
    mail = composed(name=name)
    parsed = reparsed(mail)
    assert {header.lower() for header in parsed} <= EXPECTED_HEADERS
    (recipient,) = parsed["To"].addresses
    assert recipient.addr_spec == "ada@example.com"
    # Decoded by the older half of the library: the newer one keeps the space between encoded words (RFC 2047, 6.2).
    encoded = parseaddr(str(message_from_bytes(mail)["To"]).replace("\r\n", ""))[0]
    assert str(make_header(decode_header(encoded))).split() == Mailbox.parse("ada@example.com", name).name.split()


@given(st.text(max_size=2000))
def test_any_text_survives_in_short_ascii_lines(text: str) -> None:
    mail = composed(text=text, html=f"<p>{text}</p>")
    raw = mail
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    body = reparsed(mail).get_body(("plain",))
    assert body is not None
    kept = "".join(c for c in text if c >= " " or c in "\n\r\t")
    assert body.get_content().split() == kept.encode("utf-8", "replace").decode().split()


def test_a_line_of_ten_thousand_characters_is_broken_up() -> None:
    raw = composed(text="x" * 10_000, subject="y" * 2_000, name="z" * 2_000)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


def test_chinese_subjects_names_and_texts_are_readable_again() -> None:
    mail = reparsed(composed(subject="欢迎来到我们的商店", name="王小明", text="您好，小明！", locale="zh-CN"))
    assert mail["Subject"] == "欢迎来到我们的商店"
    assert mail["To"].addresses[0].display_name == "王小明"
    assert mail["Content-Language"] == "zh-CN"


def test_a_chinese_domain_is_written_in_its_ascii_form() -> None:
    assert Mailbox.parse("wang@例子.测试").domain == "xn--fsqu00a.xn--0zwm56d"


def test_a_chinese_local_part_needs_smtputf8_and_stays_itself() -> None:
    mailbox = Mailbox.parse("王@example.com", "小明")
    assert mailbox.needs_smtputf8
    assert "王@example.com" in compose(message(), SENDER, mailbox).decode()


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "a b@example.com", "ada@example.com\r\nBcc: x@y.example", "a@b@c"]
)
def test_something_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Unsendable, match="not a mail address"):
        Mailbox.parse(address)


def test_a_sender_may_have_a_name_with_a_comma() -> None:
    sender = Mailbox.parse_named('"Shop, the" <hello@shop.example>')
    assert (sender.name, sender.address) == ("Shop, the", "hello@shop.example")
