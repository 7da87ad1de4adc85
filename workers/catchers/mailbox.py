"""Where caught mails are kept: a Maildir on disk, and an index of it in memory."""

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path

_HEADERS = BytesHeaderParser()
_WHOLE = BytesParser(EmailMessage, policy=policy.default)
_KEY = re.compile(r"(\d+)\.M(\d+)P(\d+)Q(\d+)\.")


@dataclass(slots=True)
class Mail:
    """One caught mail. `date` is the mail's own (in rehearsals not today), `received` is when it was caught."""

    id: str
    sender: str
    to: str
    recipients: list[str]
    subject: str
    date: datetime
    received: datetime
    size: int
    path: Path
    haystack: str = field(repr=False)
    snippet: str | None = None

    def described(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.id,
            "from": self.sender,
            "to": self.to,
            "recipients": self.recipients,
            "subject": self.subject,
            "date": self.date.isoformat(),
            "received": self.received.isoformat(),
            "size": self.size,
        }


class Mails:
    """All caught mails of one folder, oldest first inside, newest first to whoever asks."""

    def __init__(self, folder: Path) -> None:
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count()
        self._mails: list[Mail] = []
        self._places: dict[str, int] = {}
        self.changes = 0
        for path in sorted([*(folder / "new").iterdir(), *(folder / "cur").iterdir()], key=_age):
            with path.open("rb") as file:
                head = file.read(32_768)
            self._index(path, head, path.stat().st_size)

    def __len__(self) -> int:
        return len(self._mails)

    def add(self, sender: str, recipients: list[str], content: bytes) -> Mail:
        """Keep a mail. The envelope goes in front as Return-Path and Delivered-To, as a real mailbox has it."""
        envelope = "".join(f"{name}: {value}\r\n" for name, value in _envelope(sender, recipients))
        whole = envelope.encode("utf-8", "surrogateescape") + content
        # The file's name follows Maildir's custom, so that any mail program can open the folder. The standard
        # library's Maildir would wait for the disk after every mail, which a catcher need not.
        seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
        name = f"{seconds}.M{nanos // 1000}P{os.getpid()}Q{next(self._numbers)}.catcher"
        waiting, path = self._folder / "tmp" / name, self._folder / "new" / name
        waiting.write_bytes(whole)
        waiting.replace(path)
        self.changes += 1
        return self._index(path, whole[:32_768], len(whole))

    def find(
        self, *, to: str = "", subject: str = "", before: str = "", after: str = "", limit: int = 50
    ) -> tuple[list[Mail], int]:
        """Up to `limit` mails, newest first, and how many match in all.

        `to` and `subject` are parts of what stands there, in any case. `before` and `after` are ids: only older
        or only newer mails.
        """
        lowest = self._places[after] + 1 if after in self._places else 0
        highest = self._places[before] if before in self._places else len(self._mails)
        if not to and not subject:
            page = self._mails[max(lowest, highest - limit) : highest]
            return page[::-1], len(self._mails)
        matching = [place for place, mail in enumerate(self._mails) if _matches(mail, to.lower(), subject.lower())]
        page = [self._mails[place] for place in matching if lowest <= place < highest]
        return page[::-1][:limit], len(matching)

    def get(self, key: str) -> Mail | None:
        place = self._places.get(key)
        return None if place is None else self._mails[place]

    def source(self, mail: Mail) -> bytes:
        """The mail as it was sent, with the envelope in front."""
        return mail.path.read_bytes()

    def parsed(self, mail: Mail) -> EmailMessage:
        return _WHOLE.parsebytes(self.source(mail))

    def snippet(self, mail: Mail) -> str:
        """The first words of the text."""
        if mail.snippet is None:
            mail.snippet = " ".join(body(self.parsed(mail), "plain").split())[:140]
        return mail.snippet

    def clear(self) -> int:
        """Throw all mails away; how many there were."""
        count = len(self._mails)
        for mail in self._mails:
            mail.path.unlink(missing_ok=True)
        self._mails.clear()
        self._places.clear()
        self.changes += 1
        return count

    def _index(self, path: Path, head: bytes, size: int) -> Mail:
        key = path.name.partition(":")[0]
        headers = _HEADERS.parsebytes(head)
        received = _received(key)
        to, subject = _text(headers, "To"), _text(headers, "Subject")
        recipients = [str(value) for value in headers.get_all("Delivered-To", [])]
        mail = Mail(
            id=key,
            sender=_text(headers, "From"),
            to=to,
            recipients=recipients,
            subject=subject,
            date=_date(headers, received),
            received=received,
            size=size,
            path=path,
            haystack=f"{to} {' '.join(recipients)}".lower(),
        )
        self._places[key] = len(self._mails)
        self._mails.append(mail)
        return mail


def body(message: EmailMessage, kind: str) -> str:
    """The text (`plain`) or the page (`html`) of a mail; empty when it has none."""
    part = message.get_body((kind,))
    try:
        return str(part.get_content()) if part is not None else ""
    except (LookupError, UnicodeError):
        return ""


def _envelope(sender: str, recipients: list[str]) -> Iterator[tuple[str, str]]:
    yield "Return-Path", f"<{sender}>"
    for recipient in recipients:
        yield "Delivered-To", recipient


def _matches(mail: Mail, to: str, subject: str) -> bool:
    return to in mail.haystack and subject in mail.subject.lower()


def _age(path: Path) -> tuple[int, ...]:
    match = _KEY.match(path.name)
    seconds, micros, process, number = (int(part) for part in match.groups()) if match else (0, 0, 0, 0)
    return seconds, micros, number, process


def _received(key: str) -> datetime:
    match = _KEY.match(key)
    if match is None:
        return datetime.fromtimestamp(0, UTC)
    return datetime.fromtimestamp(int(match[1]) + int(match[2]) / 1e6, UTC)


def _date(headers: Message, otherwise: datetime) -> datetime:
    try:
        date = parsedate_to_datetime(str(headers["Date"]))
    except (ValueError, TypeError):
        return otherwise
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _text(headers: Message, name: str) -> str:
    raw = headers.get(name, "")
    try:
        return " ".join(str(make_header(decode_header(raw))).split())
    except (LookupError, UnicodeError, ValueError):
        return " ".join(str(raw).split())
