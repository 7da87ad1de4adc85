"""What a rehearsal came to: as JSON lines, and as one page that shows who gets what when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from activities.channels.channel import Message
from console.documents import document
from journeys.zones import zone_of
from records.runs.rehearsed import RehearsedContact, RehearsedRun, RehearsedTouch

TOUCH = ("customer", "journey", "version", "step", "visit", "channel", "message", "at", "status", "because")
RUN = ("customer", "journey", "outcome", "at")
CHANNELS = {"email": ("mail", "mails"), "sms": ("text", "texts"), "webhook": ("call", "calls")}
"""What a message on each channel is called on the page: one, and several."""
MOST_SHOWN = 1500
"""Mails that the page shows as they look; of further ones it shows the text, or a browser could not open it."""

_PIXEL = re.compile(r"""<img\b[^>]*\bwidth="1" height="1"[^>]*>""")
"""What tells that a mail was opened: nobody has opened one here."""


@dataclass(frozen=True, slots=True)
class Line:
    """A touch, and the message itself when it was sent."""

    touch: RehearsedTouch
    message: Message | None = None


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal that is over. `journeys` maps names to titles; `zone` is the workspace's."""

    workspace: str
    zone: str
    journeys: Mapping[str, str]
    start: datetime
    days: int
    contacts: Sequence[RehearsedContact]
    lines: Sequence[Line]
    runs: Sequence[RehearsedRun]

    def documents(self) -> Iterator[dict[str, Any]]:
        """One object a touch, in the order of time, then one a run."""
        for line in self.lines:
            yield {name: document(getattr(line.touch, name)) for name in TOUCH}
        for run in self.runs:
            yield {name: document(getattr(run, name)) for name in RUN}


@dataclass(frozen=True)
class Row:
    """A line as the page shows it: at the contact's own time, under a number of its own."""

    number: int
    touch: RehearsedTouch
    message: Message | None
    local: datetime
    who: str
    journey: str
    whole: bool
    """Whether a mail is shown as it looks."""

    @property
    def sent(self) -> bool:
        return self.touch.status == "sent"

    @property
    def headline(self) -> str:
        """What the message is about: its subject, or how its text begins."""
        if self.message is None:
            return self.touch.message
        text = self.message.subject or self.message.text
        return " ".join(text.split()) or self.touch.message


@dataclass(frozen=True)
class Day:
    """A day of the calendar: how many messages by channel, and how many were not sent."""

    date: date
    within: bool
    counts: Mapping[str, int]
    unsent: int
    heat: int
    """How busy it is, from 0 to 4."""


@dataclass(frozen=True)
class Person:
    """A contact, with everything that it gets and where its journeys led."""

    contact: RehearsedContact
    key: str
    zone: str
    rows: Sequence[Row]
    runs: Sequence[RehearsedRun]

    @property
    def got(self) -> str:
        """What it gets, in words."""
        counts = Counter(row.touch.channel for row in self.rows if row.sent)
        words = [f"{counts[name]} {CHANNELS[name][counts[name] != 1]}" for name in CHANNELS if counts[name]]
        return ", ".join(words) or "nothing"

    @property
    def missed(self) -> int:
        """How many messages were not sent."""
        return sum(not row.sent for row in self.rows)


class Pages:
    """The parts of the page. All times are the contact's own: a day is the day on which it gets the message."""

    def __init__(self, came: Rehearsed) -> None:
        self.came = came
        self._zones = {_key(one): zone_of(one.time_zone, one.country, came.zone) for one in came.contacts}
        names = {_key(one): one.name or _key(one) for one in came.contacts}
        shown = 0
        self.rows: list[Row] = []
        for number, line in enumerate(came.lines, 1):
            touch, html = line.touch, line.message is not None and line.message.html is not None
            shown += html
            self.rows.append(
                Row(
                    number, touch, line.message, touch.at.astimezone(self._zone(touch.customer)),
                    names.get(touch.customer, touch.customer), came.journeys.get(touch.journey, touch.journey),
                    html and shown <= MOST_SHOWN,
                )
            )  # fmt: skip

    @property
    def start(self) -> datetime:
        """Workspace time."""
        return self.came.start.astimezone(ZoneInfo(self.came.zone))

    @property
    def finish(self) -> datetime:
        """Workspace time."""
        return (self.came.start + timedelta(days=self.came.days)).astimezone(ZoneInfo(self.came.zone))

    @property
    def reached(self) -> int:
        """How many contacts get anything."""
        return len({row.touch.customer for row in self.rows if row.sent})

    def at(self, moment: datetime, key: str) -> datetime:
        """A moment on a contact's own clock."""
        return moment.astimezone(self._zone(key))

    @cached_property
    def channels(self) -> list[tuple[str, int]]:
        """Those that are used, and how many messages each carries."""
        sent = Counter(row.touch.channel for row in self.rows if row.sent)
        return [(name, sent[name]) for name in CHANNELS if any(row.touch.channel == name for row in self.rows)]

    @property
    def unsent(self) -> int:
        return sum(not row.sent for row in self.rows)

    @cached_property
    def first_day(self) -> date:
        """The first that the calendar shows."""
        return min([self.start.date(), *(row.local.date() for row in self.rows)])

    @cached_property
    def weeks(self) -> list[list[Day]]:
        """From the Monday before the start to the Sunday after the end, workspace time, or wider where a contact's own
        day lies outside."""
        days = [row.local.date() for row in self.rows]
        first, last = self.first_day, max([self.finish.date(), *days])
        counts = Counter((row.local.date(), row.touch.channel if row.sent else "") for row in self.rows)
        busiest = max(Counter(row.local.date() for row in self.rows if row.sent).values(), default=1)
        day, weeks = first - timedelta(days=first.weekday()), []
        while day <= last:
            weeks.append([self._day(day + timedelta(days=n), first, last, counts, busiest) for n in range(7)])
            day += timedelta(days=7)
        return weeks

    @cached_property
    def by_day(self) -> list[tuple[date, list[Row]]]:
        """The rows of each day that has some."""
        ordered = sorted(self.rows, key=lambda row: (row.local.date(), row.local.time(), row.number))
        return [(day, list(rows)) for day, rows in groupby(ordered, key=lambda row: row.local.date())]

    @cached_property
    def people(self) -> list[Person]:
        """All contacts, in the order of the file."""
        rows: dict[str, list[Row]] = {}
        runs: dict[str, list[RehearsedRun]] = {}
        for row in self.rows:
            rows.setdefault(row.touch.customer, []).append(row)
        for run in sorted(self.came.runs, key=lambda run: run.number):
            runs.setdefault(run.customer, []).append(run)
        return [
            Person(one, key, self._zone(key).key, rows.get(key, []), runs.get(key, []))
            for one, key in ((one, _key(one)) for one in self.came.contacts)
        ]

    @cached_property
    def outcomes(self) -> list[tuple[str, int, list[tuple[str, int]]]]:
        """For each journey: its title, its runs, and how they ended."""
        found = []
        for name, title in self.came.journeys.items():
            counts = Counter(run.outcome or "under way" for run in self.came.runs if run.journey == name)
            found.append((title, counts.total(), sorted(counts.items(), key=lambda one: (-one[1], one[0]))))
        return found

    @cached_property
    def reasons(self) -> list[tuple[str, int]]:
        """Why messages were not sent, the most frequent first."""
        counts = Counter(row.touch.because or row.touch.status for row in self.rows if not row.sent)
        return counts.most_common()

    @cached_property
    def examples(self) -> list[tuple[Row, int]]:
        """Each message in each language, as the first who gets it sees it, and how many get it."""
        counts = Counter((row.touch.message, row.message.locale) for row in self.rows if row.message is not None)
        first: dict[tuple[str, str], Row] = {}
        for row in self.rows:
            if row.message is not None:
                first.setdefault((row.touch.message, row.message.locale), row)
        return [(row, counts[key]) for key, row in first.items()]

    def _zone(self, key: str) -> ZoneInfo:
        return self._zones.get(key) or ZoneInfo(self.came.zone)

    def _day(self, day: date, first: date, last: date, counts: Counter[tuple[date, str]], busiest: int) -> Day:
        found = {name: counts[day, name] for name in CHANNELS if counts[day, name]}
        total = sum(found.values())
        heat = 0 if not total else 1 + min(3, 4 * (total - 1) // busiest)
        return Day(day, first <= day <= last, found, counts[day, ""], heat)


def page(came: Rehearsed) -> str:
    """The page: one document that needs nothing else, neither network nor script."""
    pages = Pages(came)
    return _templates().get_template("rehearsal.html").render(pages=pages, came=came, names=CHANNELS)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["unseen"] = lambda html: _PIXEL.sub("", html)
    made.filters["count"] = "{:,}".format
    return made


def _key(contact: RehearsedContact) -> str:
    return contact.external_id or contact.email or contact.phone or str(contact.id)
