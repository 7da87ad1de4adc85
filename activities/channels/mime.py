"""A `Message` as bytes for a mail relay (RFC 5322, RFC 2045; unsubscribing by RFC 2369 and RFC 8058)."""

import functools
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email

from activities.channels.channel import Message

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]+")
_NOT_ATEXT = re.compile(r"[^A-Za-z0-9!#$%&'*+/?^_`{|}~.-]|^\.|\.$|(?<=\.)\.")
_PHRASE = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_WEB = re.compile(r"https?://[!-;=?-~]+")
_PLAIN = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
"""The form that nearly every address has, and that needs no closer look."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Unsendable(ValueError):
    """This message cannot be put into a mail, whatever the relay. The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address as a relay wants it: the domain in ASCII (IDNA), the local part as it is."""

    local: str
    domain: str
    name: str = ""

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        return not self.local.isascii()

    @classmethod
    def parse_plain(cls, address: str, name: str | None = None) -> "Mailbox | None":
        """What `parse` makes of an address of the usual form, much faster; None for any other."""
        local, _, domain = address.partition("@")
        if len(local) > 64 or len(address) > 254 or "xn--" in domain or not _PLAIN.fullmatch(address):
            return None
        shown = one_line(name or "")
        return cls(local, domain, "" if shown == address else shown)

    @classmethod
    def parse(cls, address: str, name: str | None = None) -> "Mailbox":
        """Check the syntax, not the existence. Raises `Unsendable`."""
        try:
            checked = validate_email(
                address,
                allow_smtputf8=True,
                allow_quoted_local=True,
                globally_deliverable=False,
                check_deliverability=False,
            )
        except EmailNotValidError as error:
            raise Unsendable(f"{address!r} is not a mail address: {error}") from None
        shown = one_line(name or "")
        return cls(checked.local_part, checked.ascii_domain, "" if shown == address else shown)

    @classmethod
    def parse_named(cls, text: str) -> "Mailbox":
        """Read `Name <address>` or a bare address, as in the setting `mail_from`. Raises `Unsendable`."""
        if _UNPRINTABLE.search(text):
            raise Unsendable(f"{text!r} has a line break or control character in it")
        name, address = parseaddr(text)
        return cls.parse(address or text, name)


# 7bit: a relay need not offer 8BITMIME, and nothing on the way may re-encode (and so break a DKIM signature).
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)


def one_line(text: str) -> str:
    """Line breaks, control characters and runs of space become one space: safe in a header."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def message_id(key: str, domain: str) -> str:
    """`<key@domain>`; whatever RFC 5322 does not allow there is written as `=XX`, so distinct keys stay distinct."""

    def escaped(match: re.Match[str]) -> str:
        return "".join(f"={byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

    return f"<{_NOT_ATEXT.sub(escaped, key)}@{domain}>"


def compose(message: Message, sender: Mailbox, recipient: Mailbox) -> bytes:
    """Write the mail: plain text first, then HTML when there is one.

    The Date is the message's own `at`. There is no Auto-Submitted header: RFC 3834 means it for replies and
    notices of machines, and List-Unsubscribe already keeps vacation responders silent (RFC 5230, section 4.6).
    Raises `Unsendable`.
    """
    headers = {
        "From": named(sender),
        "To": named(recipient),
        "Subject": subject(message.subject),
        "Date": format_datetime(message.at.astimezone(UTC)),
        "Message-ID": message_id(message.key, sender.domain),
    }
    if message.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{url(message.unsubscribe_url)}>"
        if one_click(message.unsubscribe_url):
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if is_language(message.locale):
        headers["Content-Language"] = message.locale
    # Written here and not by the library, which would fold links and Message-IDs into encoded words.
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("utf-8") + _content(message).as_bytes()


def _content(message: Message) -> EmailMessage:
    content = EmailMessage(_POLICY)
    content.set_content(body(message.text), subtype="plain", charset="utf-8")
    if message.html is not None:
        content.add_alternative(body(message.html), subtype="html", charset="utf-8")
        # A boundary of our own, because the same key must give the same bytes on a second attempt.
        content.set_boundary(f"=_{hashlib.sha256(message.key.encode()).hexdigest()[:40]}")
    return content


def named(mailbox: Mailbox) -> str:
    """A mailbox for From or To, folded (RFC 5322, section 3.4)."""
    name = mailbox.name
    if not name:
        return mailbox.address
    if not name.isascii() or len(name) > 60 or "=?" in name:
        shown = _encoded("From", name)
    elif _PHRASE.fullmatch(name):
        shown = name
    else:
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        shown = f'"{escaped}"'
    joint = " " if len(shown) + len(mailbox.address) < 68 else "\r\n "
    return f"{shown}{joint}<{mailbox.address}>"


@functools.lru_cache(maxsize=1024)
def _prose(header: str, text: str) -> str:
    if text.isascii() and len(header) + len(text) <= 74 and "=?" not in text:
        return text
    short_words = all(len(word) <= 60 and not word.startswith("=?") for word in text.split(" "))
    return _folded(Header(text, "us-ascii", 76, header)) if text.isascii() and short_words else _encoded(header, text)


def _encoded(header: str, text: str) -> str:
    return _folded(Header(text, "utf-8", 76, header))


def _folded(header: Header) -> str:
    return header.encode(linesep="\r\n")


def subject(text: str | None) -> str:
    """A subject as it stands in the header, folded. Raises `Unsendable`."""
    if text is None or not text.strip():
        raise Unsendable("the mail has no subject")
    if _UNPRINTABLE.search(text):
        raise Unsendable(f"the subject {text!r} has a line break or control character in it")
    return _prose("Subject", text.strip())


def is_language(locale: str) -> bool:
    """Whether a locale may stand in Content-Language (RFC 3282)."""
    return _LANGUAGE.fullmatch(locale) is not None


def body(text: str) -> str:
    """A body without what no mail may carry."""
    printable = "".join(c for c in text if c >= " " or c in "\n\r\t")
    return printable.encode("utf-8", "replace").decode("utf-8")


def url(address: str) -> str:
    """The address of an unsubscribe link, which may stand in a header. Raises `Unsendable`."""
    if not _WEB.fullmatch(address):
        raise Unsendable(f"the unsubscribe link {address!r} is not an http(s) address in ASCII")
    return address


def one_click(address: str) -> bool:
    """RFC 8058 wants https; a link that stays on this machine (rehearsals, demos) may do without."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK
