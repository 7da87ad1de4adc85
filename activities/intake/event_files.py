"""A CSV file of events, opened: which column says what, and each row as an event, or as what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any, NamedTuple

from activities.intake.cells import tidy, tidy_external_id
from activities.intake.incoming import InvalidEvent, read_cell, read_event, read_name
from activities.intake.instants import LOOKED_AT, DateForm, form_of, two_ways
from activities.intake.tabular import Record, UnreadableTable, look_over, records_of
from records.incoming import Told

WHO = ("customer", "external_id", "email", "phone")
FIELDS = (*WHO, "event", "at", "value", "key", "properties")
LEFT_OUT = "-"
ALIASES = {
    "customer": "client contact user kunde 客户",
    "external_id": "customer_id customerid client_id contact_id user_id userid crm_id "
    "kundennr kunden_nr kundennummer 客户编号",
    "email": "e_mail mail email_address customer_email 邮箱",
    "phone": "mobile phone_number mobile_number telephone 手机 电话",
    "event": "event_name event_type type name action ereignis 事件",
    "at": "occurred_at timestamp datetime date_time event_time event_at created_at order_date orderdate invoice_date "
    "invoicedate purchased_at order_purchase_timestamp bestelldatum rechnungsdatum date time datum zeit 时间 日期",
    "value": "amount revenue total total_amount total_price grand_total betrag gesamtbetrag umsatz 金额",
    "key": "event_key event_id idempotency_key message_id uuid",
}
"""Other names of the columns, the best first: the first that is there is taken, the others are properties."""


class Rejection(NamedTuple):
    """A row that was not taken: its line, the first field that is wrong, everything that is wrong, and its cells."""

    line: int
    field: str | None
    error: str
    row: Sequence[str]


class Row(NamedTuple):
    """A row that can be taken."""

    line: int
    told: Told
    row: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read.

    `mapping` says what columns mean, by their headers: a field of `FIELDS`, the name of a property, or "-" to leave
    the column out. `event` is the name of all events, in a file that has no column for it. Times without a zone are
    read in `zone`.
    """

    zone: tzinfo
    mapping: Mapping[str, str]
    event: str | None = None
    date_form: DateForm | None = None
    encoding: str | None = None


class EventFile:
    """The header is read at once, the rows as they are asked for, each time from the beginning.

    `date_form` says how 03/04/2026 is read: as it was said, or as the other days of the file show.

    Raises UnreadableTable when the file is no table, or lacks a column that is needed.
    """

    def __init__(self, path: Path, reading: Reading, now: datetime) -> None:
        self.path = path
        self._reading = reading
        self._now = now
        self.survey, self.form = look_over(path, reading.encoding)
        first = next(records_of(path, self.form), None)
        if first is None:
            raise UnreadableTable(f"{path} is empty.", hint="A CSV file begins with a line of column names.")
        self.header = [cell.strip().lstrip("\ufeff") for cell in first.cells]
        self._who, self._fields, self._properties = self._columns()
        self._event = _name(reading.event)
        self.date_form = reading.date_form or self._date_form()

    @property
    def columns(self) -> dict[str, str]:
        """What each column is taken for, by its header: a field, a property, or nothing ("-")."""
        meant = {number: name for name, number in (*self._who, *self._properties)}
        meant |= {number: name for name, numbers in self._fields.items() for number in numbers}
        return {cell: meant.get(number, LEFT_OUT) for number, cell in enumerate(self.header)}

    def __iter__(self) -> Iterator[Row | Rejection]:
        return map(self._row, self._records())

    def _records(self) -> Iterator[Record]:
        return islice(records_of(self.path, self.form), 1, None)

    def _date_form(self) -> DateForm | None:
        """How days such as 03/04/2026 are written here; the whole file is read where its first rows have such days."""
        column = self._fields["at"][0]

        def days(records: Iterable[Record]) -> Iterator[str]:
            return (one.cells[column].strip() for one in records if column < len(one.cells))

        if not any(map(two_ways, days(islice(self._records(), LOOKED_AT)))):
            return None
        return form_of(days(self._records()))

    def _row(self, record: Record) -> Row | Rejection:
        if record.error:
            return Rejection(record.line, None, record.error, record.cells)
        try:
            return Row(record.line, self._event_of(record.cells), record.cells)
        except InvalidEvent as error:
            return Rejection(record.line, next(iter(error.problems)), error.message, record.cells)

    def _event_of(self, cells: Sequence[str]) -> Told:
        width = len(cells)
        said: dict[str, Any] = {
            name: " ".join(cell for number in numbers if number < width and (cell := cells[number].strip()))
            for name, numbers in self._fields.items()
        }
        named = ((name, word) for name, number in self._who if number < width and (word := tidy(cells[number])))
        kind, who = next(named, (self._who[0][0], ""))
        said[kind] = _name_of(kind, who)
        said["event"] = said["event"].lower() if "event" in said else self._event
        if not said["at"]:
            raise InvalidEvent({"at": "is missing: say when it happened"})
        properties = {
            name: read_cell(cell)
            for name, number in self._properties
            if number < width and (cell := cells[number].strip())
        }
        if more := said.pop("properties", None):
            properties |= _object(more)
        reading = self._reading
        return read_event(said, properties, now=self._now, zone=reading.zone, date_form=self.date_form)

    def _columns(self) -> tuple[list[tuple[str, int]], dict[str, list[int]], list[tuple[str, int]]]:
        words = [re.sub(r"[\W_]+", "_", cell.lower()).strip("_") for cell in self.header]
        wanted = self._mapped()
        free = [number for number in range(len(words)) if number not in wanted]
        fields: dict[str, list[int]] = {}
        for field in FIELDS:
            given = [number for number, name in wanted.items() if name == field]
            names = [field, *ALIASES.get(field, "").split()]
            alike = sorted((names.index(words[n]), n) for n in free if words[n] in names)
            if found := given or [number for _, number in alike[:1]]:
                fields[field] = found[:1]
        if not any(name == "at" for name in wanted.values()) and words.count("date") == words.count("time") == 1:
            day, clock = words.index("date"), words.index("time")
            if fields.get("at") in ([day], [clock]) and {day, clock} <= set(free):
                fields["at"] = [day, clock]
        who = [(kind, fields.pop(kind)[0]) for kind in WHO if kind in fields]
        self._need(bool(who), "who it happened to", "customer")
        self._need("event" in fields or self._reading.event is not None, "what happened", "event")
        self._need("at" in fields, "when it happened", "at")
        taken = {number for numbers in fields.values() for number in numbers} | {number for _, number in who}
        if words[:2] == ["line", "error"]:
            # A file of rejects, corrected: what was wrong is no property of the event.
            taken |= {0, 1}
        properties = [(wanted.get(n, words[n]), n) for n in range(len(words)) if n not in taken and words[n]]
        properties = [(name, n) for name, n in properties if name != LEFT_OUT]
        names = [name for name, _ in properties]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UnreadableTable(
                f"{self.path}: two columns are named {twice}.", hint="Say what one of them is: --map COLUMN=NAME."
            )
        return who, fields, properties

    def _mapped(self) -> dict[int, str]:
        wanted: dict[int, str] = {}
        for column, name in self._reading.mapping.items():
            numbers = [n for n, cell in enumerate(self.header) if cell.lower() == column.strip().lower()]
            if not numbers:
                raise UnreadableTable(
                    f"{self.path} has no column {column!r}.", hint="It has " + ", ".join(self.header)[:300]
                )
            if name != LEFT_OUT and not re.fullmatch(r"\w{1,100}", name):
                raise UnreadableTable(
                    f"{name!r} is no name of a property.", hint=f"Letters, digits and _, or one of {', '.join(FIELDS)}."
                )
            wanted[numbers[0]] = name
        return wanted

    def _need(self, there: bool, what: str, field: str) -> None:
        if not there:
            more = " or name all of them with --event NAME," if field == "event" else ""
            raise UnreadableTable(
                f"{self.path}: no column says {what}; found {', '.join(self.header)[:200]}",
                hint=f"Name one of them {field},{more} or say which: --map COLUMN={field}.",
            )


def _name(event: str | None) -> str | None:
    try:
        return None if event is None else read_name(event.lower())
    except ValueError as error:
        raise UnreadableTable(f"--event {error}") from None


def _name_of(kind: str, text: str) -> str:
    """Who is meant, tidied as in a list of customers. Raises InvalidEvent."""
    try:
        return tidy_external_id(text)
    except ValueError as error:
        raise InvalidEvent({kind: str(error)}) from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = loads(text)
    except (JSONDecodeError, RecursionError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise InvalidEvent({"properties": f'must be a JSON object such as {{"plan": "team"}}, found {text[:60]!r}'})
    return value
