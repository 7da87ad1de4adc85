"""The links that messages carry: unsubscribing, tracked clicks, the open pixel.

Every link is a signed token, so nobody can make one up, and it holds ids only: nothing personal travels in an
address. Links do not expire, because mails are kept for years and an unsubscribe link must work for as long.
"""

import hashlib
import hmac
import html
import json
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeSerializer

from journeys.errors import WaymarkError

ANCHOR = re.compile(r"""(<a\b[^>]*?\bhref\s*=\s*)("([^"]*)"|'([^']*)')""", re.IGNORECASE)
BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


class BrokenLinkError(WaymarkError):
    """A link that this installation did not sign: cut short by a mail program, or signed with another secret."""

    def __init__(self) -> None:
        super().__init__(
            "This link is not valid.", hint="Copy the whole address from the message, or answer the message instead."
        )


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """What an unsubscribe link says: who, from which channel, and by which touch."""

    customer_id: int
    channel: str
    touch_key: str


@dataclass(frozen=True, slots=True)
class Click:
    """What a tracked link says: where it leads, and in which touch it stood."""

    url: str
    touch_key: str


class Links:
    """Makes the links of messages and reads them back.

    `secret` signs them, the same on every machine; `base` is the console's public address, without a path.
    """

    def __init__(self, secret: str, base: str) -> None:
        self.base = base.rstrip("/")
        self._unsubscribe = _Tokens(secret, "unsubscribe")
        self._click = _Tokens(secret, "click")
        self._open = _Tokens(secret, "open")

    def unsubscribe(self, *, customer_id: int, channel: str, touch_key: str) -> str:
        """The address for `links.unsubscribe` and the List-Unsubscribe header (RFC 8058)."""
        return f"{self.base}/u/{self._unsubscribe.make([customer_id, channel, touch_key])}"

    def click(self, url: str, touch_key: str) -> str:
        """The tracked form of a link to `url`."""
        return f"{self.base}/c/{self._click.make([url, touch_key])}"

    def pixel(self, touch_key: str) -> str:
        """The address of the picture of one pixel that tells of an opened mail."""
        return f"{self.base}/o/{self._open.make(touch_key)}.gif"

    def track(self, page: str, touch_key: str) -> str:
        """The HTML of a mail with its web links tracked and the pixel at its end.

        Left alone: links that are no web address (mailto, tel, #part), and those that lead to the console already.
        """

        def tracked(match: re.Match[str]) -> str:
            before, found = match[1], html.unescape(match[3] if match[3] is not None else match[4])
            if urlsplit(found).scheme not in {"http", "https"} or found.startswith(f"{self.base}/"):
                return match[0]
            return f'{before}"{html.escape(self.click(found, touch_key))}"'

        page = ANCHOR.sub(tracked, page)
        pixel = f'<img src="{html.escape(self.pixel(touch_key))}" width="1" height="1" alt="">'
        end = list(BODY_END.finditer(page))
        at = end[-1].start() if end else len(page)
        return page[:at] + pixel + page[at:]

    def read_unsubscribe(self, token: str) -> Unsubscribe:
        """What the token of an unsubscribe link says. Raises BrokenLinkError."""
        customer_id, channel, touch_key = _loads(self._unsubscribe, token, 3)
        return Unsubscribe(int(str(customer_id)), str(channel), str(touch_key))

    def read_click(self, token: str) -> Click:
        """What the token of a tracked link says. Raises BrokenLinkError."""
        url, touch_key = _loads(self._click, token, 2)
        return Click(str(url), str(touch_key))

    def read_pixel(self, token: str) -> str:
        """The touch key in the token of an open pixel. Raises BrokenLinkError."""
        try:
            return str(self._open.read(token))
        except BadData:
            raise BrokenLinkError from None


class _Tokens:
    """Signed tokens of one purpose, readable by itsdangerous' `URLSafeSerializer`, and written as it writes short
    ones: not compressed, and with the key derived once, which takes a tenth of the time. A broadcast makes many."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._serializer = URLSafeSerializer(secret, salt=purpose)
        self._hmac = hmac.new(self._serializer.make_signer(purpose).derive_key(), digestmod=hashlib.sha1)

    def make(self, value: object) -> str:
        payload = urlsafe_b64encode(_compact(value).encode()).rstrip(b"=")
        signed = self._hmac.copy()
        signed.update(payload)
        return (payload + b"." + urlsafe_b64encode(signed.digest()).rstrip(b"=")).decode()

    def read(self, token: str) -> object:
        """What was signed. Raises `BadData`."""
        return self._serializer.loads(token)


_compact = json.JSONEncoder(separators=(",", ":")).encode


def _loads(tokens: _Tokens, token: str, parts: int) -> list[object]:
    try:
        found = tokens.read(token)
    except BadData:
        raise BrokenLinkError from None
    if not isinstance(found, list) or len(found) != parts:
        raise BrokenLinkError
    return found
