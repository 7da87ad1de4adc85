"""Mails for a broadcast: composed as any other, thousands of times faster where the template allows it.

What is the same for everybody is rendered, encoded and put between headers once for each message and locale
(`activities/broadcasts/stencil.py`); for each person only the holes are filled. A person whose fields do not fit a
stencil, or a message that allows none, is composed the usual way. Either way the mail says the same to whoever reads
it.
"""

from __future__ import annotations

import hashlib
import html
import re
from binascii import b2a_qp
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from markupsafe import escape

from activities.broadcasts.stencil import UNSUBSCRIBE, Assumed, Cutter, Hole, Personal, Piece, pieces
from activities.channels import mime
from activities.channels.letters import Letter
from activities.channels.mime import Mailbox
from activities.messages.composing import Composer
from activities.messages.links import ANCHOR, BODY_END
from activities.messages.rendering import CustomerView, Unrenderable, tidy
from journeys.errors import WaymarkError
from records.people.customers import Customer

MOST_STENCILS = 64
"""Of one message and locale. A message with so many yes-or-no questions is composed for each person by itself."""
_SOFT = b"=\r\n"
_LINE = 72
"""Characters of a value that stand on one line of quoted-printable (RFC 2045 allows 76)."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A tracked link; `url` is where it leads, which may have holes."""

    url: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Pixel:
    """The picture that tells of an opened mail."""


Part = Piece | _Link | _Pixel
Subject = Callable[[str], str | None] | None
"""Gives for a locale the template of a subject (None: the message's own)."""


@dataclass(frozen=True, slots=True)
class _Stencil:
    """One message in one locale for people of whom `asked` is true: the body in pieces as they go over the wire,
    and the holes between them by their place."""

    asked: dict[str, bool]
    subject: list[Piece]
    body: list[bytes]
    holes: list[tuple[int, Part]]
    names: tuple[str, ...]
    locale: str
    head: bytes


class Press:
    """Prints the mails of one broadcast; `about` is what its templates know beside the customer.

    It reads its templates once: a press is for one leg of a broadcast.
    """

    def __init__(self, composer: Composer, sender: Mailbox, about: Mapping[str, Any]) -> None:
        self._composer = composer
        self._sender = sender
        self._about = about
        self._cutter = Cutter(composer.templates.sandbox)
        self._stencils: dict[tuple[str, str | None, str], list[_Stencil]] = {}
        self._locales: dict[tuple[str, str | None], str] = {}
        self._from = mime.named(sender).encode()
        self._dated: tuple[datetime, bytes] | None = None

    def letter(
        self, message: str, subject: Subject, customer: Customer, address: str, key: str, at: datetime
    ) -> Letter:
        """The mail to one customer, as it goes over the wire; `subject` gives for a locale what stands in place of
        the message's own.

        Raises:
            Unrenderable: the template is missing, broken, or names what the customer does not have.
            mime.Unsendable: what comes of it is no mail.
        """
        try:
            to = Mailbox.parse_plain(address, customer.name)
            if to is not None and self._sender.local.isascii():
                return self._printed(message, subject, customer, to, key, at)
        except Personal:
            pass
        composed = self._composer.message(message, customer, address, key, at, self._about, subject)
        return Letter.of(composed, self._sender)

    def _printed(
        self, message: str, subject: Subject, customer: Customer, to: Mailbox, key: str, at: datetime
    ) -> Letter:
        values = {f"customer.{name}": value for name, value in self._view(customer).fields.items()}
        stencil = self._stencil(message, subject, customer.locale, values)
        links = self._composer.links
        unsubscribe = links.unsubscribe(customer_id=customer.id, channel="email", touch_key=key)
        said = {name: _said(values[name]) if name != UNSUBSCRIBE else unsubscribe for name in stencil.names}
        title = " ".join("".join(one if isinstance(one, str) else said[one.name] for one in stencil.subject).split())
        body = stencil.body.copy()
        for place, part in stencil.holes:
            body[place] = self._filled(part, said, key)
        head = (
            b"From: ", self._from,
            b"\r\nTo: ", mime.named(to).encode(),
            b"\r\nSubject: ", mime.subject(title).encode(),
            b"\r\nDate: ", self._date(at),
            b"\r\nMessage-ID: ", mime.message_id(key, self._sender.domain).encode(),
            b"\r\nList-Unsubscribe: <", mime.url(unsubscribe).encode(), b">\r\n",
            stencil.head,
        )  # fmt: skip
        return Letter(key, to.address.encode(), b"".join((*head, *body)), title, stencil.locale)

    def _filled(self, part: Part, said: Mapping[str, str], key: str) -> bytes:
        """What stands in a hole for one person, on lines of its own."""
        match part:
            case Hole(name=name, escaped=escaped):
                return _quoted(str(escape(said[name])) if escaped else said[name])
            case _Link(url=url):
                whole = "".join(one if isinstance(one, str) else str(escape(said[one.name])) for one in url)
                return _quoted(html.escape(self._composer.links.click(html.unescape(whole), key)))
            case _:
                return _quoted(html.escape(self._composer.links.pixel(key)))

    def _stencil(self, message: str, subject: Subject, locale: str | None, values: Mapping[str, Any]) -> _Stencil:
        """The stencil that fits a person, cut when there is none yet. Raises `Personal`."""
        if (message, locale) not in self._locales:
            try:
                self._locales[message, locale] = self._composer.templates.choose("email", message, locale)
            except WaymarkError as error:
                raise Unrenderable(error.message) from error
        chosen = self._locales[message, locale]
        title = subject(chosen) if subject is not None else None
        cut = self._stencils.setdefault((message, title, chosen), [])
        for one in cut:
            if all(bool(values[name]) is answer for name, answer in one.asked.items()):
                break
        else:
            if len(cut) >= MOST_STENCILS:
                raise Personal
            one = self._cut(message, title, chosen, values)
            cut.append(one)
        if not one.body:
            raise Personal
        return one

    def _cut(self, message: str, subject: str | None, locale: str, values: Mapping[str, Any]) -> _Stencil:
        assumed = Assumed({**values, UNSUBSCRIBE: True})
        context = self._composer.context(self._about)
        folder = f"email/{message.removeprefix('email/')}/{locale}"
        try:
            title = (
                self._cutter.cut_line(subject, context, assumed)
                if subject is not None
                else self._cutter.cut(f"{folder}/subject.txt", context, assumed)
            )
            page = self._cutter.cut(f"{folder}/body.html", context, assumed)
            text = tidy(self._cutter.cut(f"{folder}/body.txt", context, assumed))
            parts = _tracked(page, assumed, self._composer.links.base)
        except Personal:
            # Remembered: the next person who is like this one need not ask again.
            return _Stencil(_asked(assumed), [], [], [], (), locale, b"")
        boundary = f"=_{hashlib.sha256(f'{message}/{locale}'.encode()).hexdigest()[:40]}"
        body, holes = _assembled(boundary, pieces(text, assumed), parts)
        head = self._head(locale, boundary)
        return _Stencil(_asked(assumed), pieces(title, assumed), body, holes, tuple(assumed.names), locale, head)

    def _head(self, locale: str, boundary: str) -> bytes:
        """The headers that are the same for everybody."""
        lines = []
        if mime.one_click(f"{self._composer.links.base}/u/"):
            lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        if mime.is_language(locale):
            lines.append(f"Content-Language: {locale}")
        lines += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"', "", ""]
        return "\r\n".join(lines).encode()

    def _view(self, customer: Customer) -> CustomerView:
        return CustomerView.of(customer, self._composer.fields)

    def _date(self, at: datetime) -> bytes:
        if self._dated is None or self._dated[0] != at:
            self._dated = at, format_datetime(at.astimezone(UTC)).encode()
        return self._dated[1]


def _asked(assumed: Assumed) -> dict[str, bool]:
    return {name: answer for name, answer in assumed.asked.items() if name != UNSUBSCRIBE}


def _said(value: Any) -> str:
    """A value as a template shows it. Raises `Personal` where it could change what stands around it."""
    said = value if type(value) is str else str(value)
    if not said or not said.isprintable() or said[0] == " " or said[-1] == " " or hasattr(value, "__html__"):
        raise Personal
    return said


def _tracked(page: str, assumed: Assumed, base: str) -> list[Part]:
    """The HTML in pieces, with its web links tracked and the pixel at its end, as `Links.track` does it."""
    parts: list[Part] = []
    done = 0

    def take(until: int) -> None:
        parts.extend(pieces(page[done:until], assumed))

    ends = list(BODY_END.finditer(page))
    end = ends[-1].start() if ends else len(page)
    for match in ANCHOR.finditer(page):
        inner = 3 if match[3] is not None else 4
        url = pieces(match[inner], assumed)
        first = html.unescape(url[0]) if url and isinstance(url[0], str) else ""
        if url and isinstance(url[0], Hole):
            if len(url) == 1 and url[0].name == UNSUBSCRIBE:
                continue  # it leads to the console already
            raise Personal
        if any(isinstance(one, Hole) for one in url) and not re.match(r"https?://[^/]+/", first):
            raise Personal  # whether it is tracked may depend on the person
        if urlsplit(first).scheme not in {"http", "https"} or first.startswith(f"{base}/"):
            continue
        if any(isinstance(one, Hole) and not one.escaped for one in url) or match.start() < end < match.end():
            raise Personal
        take(match.start(2))
        parts += ['"', _Link(tuple(url)), '"']
        done = match.end(2)
    if end < done:
        raise Personal
    take(end)
    done = end
    parts += ['<img src="', _Pixel(), '" width="1" height="1" alt="">']
    take(len(page))
    if any(isinstance(one, Hole) and not one.escaped for one in parts):
        raise Personal
    return parts


def _assembled(boundary: str, text: Sequence[Part], page: Sequence[Part]) -> tuple[list[bytes], list[tuple[int, Part]]]:
    """Both parts of the body as they go over the wire, in pieces, and the places of the holes."""
    body: list[bytes] = []
    holes: list[tuple[int, Part]] = []
    for kind, parts in (("plain", text), ("html", page)):
        opening = (
            f"--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
        body.append(opening.encode())
        for run in _runs([*parts, "" if _ends_a_line(parts) else "\n"]):
            if isinstance(run, str):
                body.append(_wire(mime.body(run).replace("\r\n", "\n").replace("\r", "\n")))
            else:
                holes.append((len(body), run))
                body.append(b"")
        body.append(b"\r\n")
    body.append(f"--{boundary}--\r\n".encode())
    return body, holes


def _runs(parts: Sequence[Part]) -> list[Part]:
    """The parts, with texts that follow one another made one."""
    runs: list[Part] = []
    for part in parts:
        last = runs[-1] if runs else None
        if isinstance(part, str) and isinstance(last, str):
            runs[-1] = last + part
        elif part != "":
            runs.append(part)
    return runs


def _ends_a_line(parts: Sequence[Part]) -> bool:
    return bool(parts) and isinstance(parts[-1], str) and parts[-1].endswith("\n")


def _wire(text: str) -> bytes:
    """Text in quoted-printable on lines of its own, with dots doubled (RFC 5321, section 4.5.2); where it ends within
    a line, a soft line break joins it to what follows."""
    # The NUL takes the place that the soft line break may need: no line becomes longer than 76 (RFC 2045).
    wired = b2a_qp(text.encode() + b"\0", istext=True)[:-3].replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
    wired = b"." + wired if wired[:1] == b"." else wired
    return wired if wired[-1:] == b"\n" else wired + _SOFT


def _quoted(value: str) -> bytes:
    """A value on lines of its own."""
    if len(value) <= _LINE and value.isascii() and "=" not in value and value[0] != ".":
        return value.encode() + _SOFT
    return _wire(value)
