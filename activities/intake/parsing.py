"""From chunks of a list to pages of contacts: every cell tidied, read and checked.

The rules for a value are those of `activities.intake.contacts`, which the API uses too; here they meet what lists look
like. A value that many rows share is read once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from activities.intake import cells, days, several
from activities.intake.chunks import Chunk
from activities.intake.contacts import (
    COLUMNS,
    LONGEST,
    NO_ADDRESS,
    plain_text,
    read_country,
    read_email,
    read_locale,
    read_phone,
    read_tags,
    read_time_zone,
)
from activities.intake.headers import HALVES, OTHERS, names_birthday
from activities.intake.instants import DateForm
from activities.intake.mapping import SEVERAL
from activities.intake.names import split_name
from activities.intake.rejects import Mistake, Rejection
from activities.intake.shortcuts import plain_email, plain_phone
from activities.intake.tabular import Record, read_records
from journeys.fields import Field, Fields
from journeys.identities import Key
from records.intake.pages import Page, empty
from records.people.contacts import COLUMNS as STORED

_REMEMBERED = 20_000
"""Values of one column that are remembered."""
_PLACES = {name: at for at, name in enumerate(STORED)}
_COUNTRY = _PLACES["country"]
_ADDRESSES = {"email": _PLACES["email"], "phone": _PLACES["phone"]}
_UNREACHED = ("email", NO_ADDRESS)
_UNNAMED = ("external_id", "is missing: nothing else in this list says who it is")
_REACHING = frozenset({*_ADDRESSES, *SEVERAL})
_NEW = object()
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]*[0-9]")
_Column = tuple[int, str, int | None, dict[str, Any], Callable[[str, str | None], Any]]
"""Where a column stands, its field, the field's place in `STORED`, the values that are known, and how to read one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a list is to be read: its form, what its columns mean, and what its values may be."""

    delimiter: str
    header_line: int
    columns: list[str | None]
    fields: Fields
    named: int = 0
    """The columns up to the last one that has a name."""
    country: str | None = None
    """Whose phone numbers those without + are, where the row names no country."""
    relative_to: date | None = None
    date_form: DateForm | None = None
    """Which of two numbers is the day, where a day such as 03/04/2026 can be read in two ways."""


class Parsed(NamedTuple):
    """What a chunk came to: the rows that can be taken, those that cannot, how many there were, and the last line."""

    page: Page
    rejected: list[Rejection]
    rows: int
    line: int
    end: int


class Parser:
    """Reads chunks of one list."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._width = len(reading.columns)
        self._named = reading.named
        # A list of ids only tells of people who buy; one with addresses, of people who are to be reached.
        self._addressed = not _REACHING.isdisjoint(reading.columns)
        known = [(at, name) for at, name in enumerate(reading.columns) if name]
        # The country comes first, because a phone number is read by it.
        self._plan = [self._column(at, name) for at, name in sorted(known, key=lambda one: one[1] != "country")]

    def parse(self, chunk: Chunk) -> Parsed:
        """The page of a chunk."""
        page = empty()
        rejected: list[Rejection] = []
        rows = line = 0
        for record in read_records(chunk, self._reading.delimiter, self._width, self._named):
            if record.line <= self._reading.header_line:
                continue
            rows, line = rows + 1, record.line
            rejection = self.take(record, page)
            if rejection is not None:
                rejected.append(rejection)
        return Parsed(page, rejected, rows, line, chunk.end)

    def take(self, record: Record, page: Page) -> Rejection | None:
        """Add a row to the page, or say what is wrong with it."""
        line, texts, error = record
        if error:
            return Rejection(line, (Mistake(None, error),), texts)
        columns: list[Any] = [None] * len(STORED)
        properties: dict[str, Any] = {}
        consents: dict[str, bool] = {}
        tags: tuple[str, ...] = ()
        others_said: list[tuple[str, Any]] = []
        wrong: dict[int, tuple[str, str]] | None = None
        country = self._reading.country
        for at, name, place, remembered, read in self._plan:
            text = texts[at]
            if not text:
                continue
            value = remembered.get(text, _NEW)
            if value is _NEW:
                try:
                    value = read(text, country)
                except ValueError as unread:
                    wrong = wrong or {}
                    wrong[at] = (name, str(unread))
                    continue
            if value is None:
                continue
            if place is not None:
                columns[place] = value
                if place == _COUNTRY:
                    country = value
            elif name == "tags":
                tags = value
            elif name in OTHERS:
                others_said.append((name, value))
            elif name in COLUMNS:
                consents[name.removeprefix("consent_")] = value
            else:
                properties[name] = value
        external_id, email, phone, *others = columns
        further: tuple[Key, ...] = ()
        if others_said or email.__class__ is tuple or phone.__class__ is tuple:
            further = _add(others_said, columns, consents)
            _, email, phone, *others = columns
        missing = email is None and phone is None if self._addressed else external_id is None
        if wrong or missing:
            return Rejection(line, self._mistakes(wrong or {}, missing=missing), texts)
        page.lines.append(line)
        page.external_ids.append(external_id)
        page.emails.append(email)
        page.phones.append(phone)
        page.further.append(further)
        page.others.append(tuple(others))
        page.tags.append(tags)
        page.properties.append(properties)
        page.consents.append(consents)
        return None

    def _mistakes(self, wrong: Mapping[int, tuple[str, str]], *, missing: bool) -> tuple[Mistake, ...]:
        """All that is wrong with a row, in the order of its columns; a name that cannot be read is not missing, too."""
        told = [wrong[at] for at in sorted(wrong)]
        naming = _REACHING if self._addressed else {"external_id"}
        if missing and naming.isdisjoint(name for name, _ in told):
            told.append(_UNREACHED if self._addressed else _UNNAMED)
        return tuple(Mistake(name, f"{name} {what}") for name, what in told)

    def _column(self, at: int, name: str) -> _Column:
        remembered: dict[str, Any] = {}
        place = _PLACES.get(name)
        if name in _KEYS:
            return at, name, place, remembered, _KEYS[name]
        read = self._reader(name)
        called = name in (*HALVES, "full_name")
        nothing = cells.BLANKS if name in ("tags", "stage") or self._is_text(name) else cells.UNKNOWN

        def look(text: str, country: str | None) -> Any:
            plain = cells.tidy(text, nothing=nothing, name=called)
            value = None if plain is None else read(plain)
            if len(remembered) < _REMEMBERED and len(text) < 200:
                remembered[text] = value
            return value

        return at, name, place, remembered, look

    def _is_text(self, name: str) -> bool:
        return name in self._reading.fields and self._reading.fields[name].type == "text"

    def _reader(self, name: str) -> Callable[[str], Any]:
        fields = self._reading.fields
        if name in fields:
            return partial(_property, fields[name], self._reading)
        if name.startswith(("consent_", "unsubscribed_")):
            return cells.tidy_consent
        if name == "tags":
            return read_tags
        return _READERS.get(name) or partial(_one_line, longest=LONGEST.get(name, 320))


def _add(
    said: list[tuple[str, Any]], columns: list[Any], consents: dict[str, bool]
) -> tuple[Key, ...]:  # fmt: skip
    """Lay what is no column of a contact on what is; returns the further addresses and numbers."""
    further: list[Key] = []
    for name, place in _ADDRESSES.items():
        if columns[place].__class__ is tuple:
            # The cell holds several: the first one is written to.
            columns[place], *more = columns[place]
            further += [(name, one) for one in more]
    for name, value in said:
        if name == "full_name":
            first, last = (_PLACES[half] for half in HALVES)
            if columns[first] is None and columns[last] is None:
                columns[first], columns[last] = value
        elif name.startswith("unsubscribed_"):
            if value:
                consents[name.removeprefix("unsubscribed_")] = False
        else:
            kind = name.removeprefix("other_")
            place = _PLACES[kind]
            for one in value if value.__class__ is tuple else (value,):
                if columns[place] is None:
                    columns[place] = one
                elif one != columns[place]:
                    further.append((kind, one))
    return tuple(dict.fromkeys(further))


def _one_line(text: str, longest: int) -> str:
    return plain_text(" ".join(text.split()), longest)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "country": lambda text: read_country(cells.tidy_key(text)),
    "locale": lambda text: read_locale(cells.tidy_key(text)),
    "time_zone": lambda text: read_time_zone(cells.tidy_key(text)),
    "full_name": lambda text: split_name(plain_text(" ".join(text.split()), LONGEST["last_name"])),
}


def _email(text: str, country: str | None) -> str | tuple[str, ...] | None:
    if found := plain_email(text):
        return found
    return several.each(text, several.emails, cells.NOBODY, lambda part: read_email(cells.tidy_email(part)))


def _phone(text: str, country: str | None) -> str | tuple[str, ...] | None:
    # Excel writes a number that it takes for a figure with a decimal place, which is no part of it.
    if not text.startswith("00") and not text.endswith(".0") and (found := plain_phone(text, country)):
        return found
    return several.each(
        text, lambda cell: several.phones(cell, country), cells.NO_NUMBER,
        lambda part: read_phone(cells.tidy_phone(part), country),
    )  # fmt: skip


def _external_id(text: str, country: str | None) -> str | None:
    if len(text) <= LONGEST["external_id"] and _PLAIN_ID.fullmatch(text):
        return text
    plain = cells.tidy(text, nothing=cells.NOBODY)
    return None if plain is None else plain_text(cells.tidy_external_id(plain), LONGEST["external_id"])


_KEYS = {
    "email": _email, "other_email": _email, "phone": _phone, "other_phone": _phone, "external_id": _external_id,
}  # fmt: skip


def _property(field: Field, reading: Reading, text: str) -> Any:
    said = text
    if field.type == "date":
        if text.lower() in days.NEVER:
            return None
        tidy = days.tidy_birthday if names_birthday(field.name) else days.tidy_date
        said = tidy(text, reading.date_form)
    elif field.type == "number":
        said = cells.tidy_number(text)
    elif field.type == "datetime":
        said = cells.tidy_moment(text)
    try:
        return field.read(said, relative_to=reading.relative_to)
    except ValueError as error:
        raise ValueError(str(error).replace(repr(said), repr(text))) from None
