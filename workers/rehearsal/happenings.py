"""What happens to contacts in a rehearsal, from a CSV file: each row is taken, or reported with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from activities.intake.incoming import EVENT_NAME
from activities.intake.tabular import Record, UnreadableTable, read_table
from journeys.fields import read_datetime, read_number
from workers.acting import Deed

REQUIRED = ("customer", "event", "at")
COLUMNS = (*REQUIRED, "value", "message", "properties")
_SPAN = re.compile(r"([+-])((?:\d{1,5}(?:w|d|h|m|s))+)", re.IGNORECASE)
_PART = re.compile(r"(\d+)([wdhms])", re.IGNORECASE)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was left out: its file, its line, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Happening:
    """What happens to a customer (by its number) at a moment (UTC); `line` is where the file says so, 0 where none
    does. `enters` names a journey that the customer is entered in, instead of a deed."""

    customer: int
    at: datetime
    line: int
    deed: Deed | None = None
    enters: str | None = None


@dataclass
class Happenings:
    """The rows of a file: those before the start of the rehearsal, those within it, and what was left out."""

    before: list[Happening] = field(default_factory=list)
    within: list[Happening] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def read_happenings(path: Path, who: Mapping[str, int], start: datetime, end: datetime) -> Happenings:
    """Read the columns customer, event, at, value, message and properties (JSON); any other is a property.

    `who` maps external ids, addresses and numbers to customers. A time is absolute, with its zone, or counts from the
    start in elapsed time: `+2d3h`. Rows of one moment keep the order of the file.

    Raises:
        UnreadableTable: the file is no table, or lacks a column.
    """
    found = Happenings()
    header, records = open_happenings(path)
    for record in records:
        try:
            one = _happening(_cells(record, header), who, start, record.line)
        except (ValueError, OverflowError) as error:
            found.rejects.append(Reject(path.name, record.line, str(error)))
            continue
        if one.at > end:
            reason = f"{one.at:%Y-%m-%d %H:%M} UTC is after the end of the rehearsal, {end:%Y-%m-%d %H:%M} UTC"
            found.rejects.append(Reject(path.name, record.line, reason))
        else:
            (found.before if one.at < start else found.within).append(one)
    for rows in (found.before, found.within):
        rows.sort(key=lambda one: one.at)
    return found


def read_moment(text: str, start: datetime) -> datetime:
    """A moment: absolute with its zone, or so long after (`+2d3h`) or before (`-30d`) the start. Raises ValueError."""
    if match := _SPAN.fullmatch(text.replace(" ", "")):
        seconds = sum(int(count) * _SECONDS[unit.lower()] for count, unit in _PART.findall(match[2]))
        return start + timedelta(seconds=seconds if match[1] == "+" else -seconds)
    if text[:1] in "+-":
        raise ValueError(f"{text!r} is no span of time: write it like +2d3h, of w, d, h, m and s")
    return read_datetime(text)


def open_happenings(path: Path) -> tuple[list[str], Iterator[Record]]:
    """The names of the columns, and the rows. Raises UnreadableTable."""
    _, records = read_table(path)
    first = next(records, None)
    header = [cell.strip().lower().lstrip("\ufeff") for cell in first.cells] if first else []
    if missing := [name for name in REQUIRED if name not in header]:
        raise UnreadableTable(
            f"{path}: no column is named {' or '.join(missing)}; found {', '.join(header)[:200] or 'nothing'}",
            hint="The columns are " + ", ".join(COLUMNS) + "; any other one is a property.",
        )
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise UnreadableTable(f"{path}: two columns are named {twice}", hint="Keep one of them.")
    return header, records


def _cells(record: Record, header: list[str]) -> dict[str, str]:
    if record.error:
        raise ValueError(record.error)
    return dict(zip(header, (cell.strip() for cell in record.cells), strict=False))


def _happening(cells: Mapping[str, str], who: Mapping[str, int], start: datetime, line: int) -> Happening:
    name = cells["event"].lower()
    customer = find(cells["customer"], who)
    if customer is None:
        raise ValueError(f"{cells['customer']!r} is none of the contacts")
    if not EVENT_NAME.fullmatch(name) or len(name) > 100:
        raise ValueError(f"{cells['event']!r} is no event: small letters with dots, such as order.placed")
    message = cells.get("message") or None
    value = float(read_number(cells["value"])) if cells.get("value") else None
    properties = {**_typed(cells, COLUMNS), **_object(cells.get("properties") or "{}")}
    return Happening(customer, read_moment(cells["at"], start), line, Deed(name, message, value, properties))


def find(reference: str, who: Mapping[str, int]) -> int | None:
    """The customer with this external id, address or number."""
    plain = reference.strip()
    return who.get(plain) or who.get(plain.lower()) or who.get(re.sub(r"[\s().-]", "", plain))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f'properties must be a JSON object such as {{"plan": "team"}}, found {text[:60]!r}')
    if "\\u0000" in text or "\x00" in text:
        raise ValueError("properties hold a NUL character")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _typed(cells: Mapping[str, str], besides: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in cells.items():
        if name in besides or not name or not text:
            continue
        try:
            found[name] = text == "true" if text in ("true", "false") else read_number(text)
        except ValueError:
            found[name] = text
    return found
