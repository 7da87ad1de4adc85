"""The custom fields that a workspace declares in `definitions/fields.yaml`, and what their values may be.

Journeys, templates, the CSV import and the HTTP API know these fields and the standard ones, and no others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Pydantic
from pydantic import field_validator

from journeys.conditions import STANDARD_FIELDS, Model, Text
from journeys.source import Source

Kind = Literal["text", "number", "date", "datetime", "boolean"]
Value = str | int | float | bool
"""What the record keeps: dates and datetimes as ISO 8601 text, datetimes with their offset."""

LONGEST_TEXT = 2000
TAKEN = {
    *STANDARD_FIELDS, "id", "tags", "properties", "created_at", "updated_at", "qualified_at",
    "lifecycle", "fit", "grade", "scored_at", "owner", "emails", "phones", "external_ids", "consents",
}  # fmt: skip
_RELATIVE = re.compile(r"^([+-]\d{1,5})d$")
_DATE_FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d", "%Y年%m月%d日")
_YES = {
    "yes", "y", "true", "t", "1", "1.0", "on", "ja", "j", "wahr", "oui", "vrai", "si", "sí", "verdadero", "vero", "sim",
    "waar", "да", "是", "x", "✓", "✔", "☑", "subscribed", "opted in", "opt-in", "granted",
}  # fmt: skip
_NO = {
    "no", "n", "false", "f", "0", "0.0", "off", "nein", "falsch", "non", "faux", "falso", "não", "nee", "onwaar", "нет",
    "否", "✗", "✘", "☐", "unsubscribed", "opted out", "opt-out",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field: its name in maps and templates, its type, and its title for people."""

    name: str
    type: Kind
    title: str

    def read(self, value: object, *, relative_to: date | None = None) -> Value:
        """The value as the record keeps it, from CSV text or JSON.

        Raises ValueError, worded to follow the field's name, when it does not fit the type.
        """
        if self.type == "boolean":
            return value if isinstance(value, bool) else yes_or_no(str(value))
        if self.type == "number":
            return read_number(value)
        if isinstance(value, bool | int | float | list | dict):
            raise ValueError(f"must be {self.type} written in quotes, found {value!r}")
        text = str(value).strip()
        if self.type == "date":
            return read_date(text, relative_to=relative_to).isoformat()
        if self.type == "datetime":
            return read_datetime(text).isoformat()
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"has {len(text):,} characters; at most {LONGEST_TEXT:,}")
        return text


Fields = Mapping[str, Field]


class _Declaration(Model):
    type: Kind
    title: Text | None = None


class _File(Model):
    """`definitions/fields.yaml`: the fields by name."""

    fields: dict[Annotated[str, Pydantic(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)], _Declaration] | None = None

    @field_validator("fields")
    @classmethod
    def _not_standard(cls, fields: dict[str, _Declaration] | None) -> dict[str, _Declaration] | None:
        if taken := sorted((fields or {}).keys() & TAKEN):
            raise ValueError(f"{', '.join(taken)}: every customer has that field already, choose another name")
        return fields


def load_fields(path: Path) -> dict[str, Field]:
    """The declared fields by name; none when there is no such file.

    Raises:
        InvalidFile: with every problem found, each with its line and column.
    """
    return _fields(Source.read(path)) if path.exists() else {}


def parse_fields(text: str, file: str = "fields.yaml") -> dict[str, Field]:
    """The declared fields in a text. Raises InvalidFile."""
    return _fields(Source.parse(text, file))


def _fields(source: Source) -> dict[str, Field]:
    declared = source.to(_File).fields or {}
    return {
        name: Field(name, one.type, one.title or name.replace("_", " ").capitalize()) for name, one in declared.items()
    }


def yes_or_no(text: str) -> bool:
    """Whether a word means yes or no. Raises ValueError when it means neither."""
    word = text.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError(f"{text!r} is neither yes nor no")


def read_number(value: object) -> int | float:
    """A finite number; thousands are not grouped. Raises ValueError."""
    try:
        number = float(str(value).strip()) if not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number: write it like 1234.5")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def read_date(text: str, *, relative_to: date | None = None) -> date:
    """A day between 1900 and 2200; `+40d` counts from `relative_to` where that is given. Raises ValueError."""
    if match := _RELATIVE.match(text):
        if relative_to is None:
            raise ValueError(f"{text!r} is relative, and there is no day here to count from: write YYYY-MM-DD")
        return relative_to + timedelta(days=int(match[1]))
    for form in _DATE_FORMS:
        try:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007 (a day has no zone)
        except ValueError:
            continue
        if not 1900 <= day.year < 2200:
            raise ValueError(f"{text!r} is not between 1900 and 2200")
        return day
    raise ValueError(f"{text!r} is no day that exists, or can be read in two ways: write YYYY-MM-DD")


def read_datetime(text: str) -> datetime:
    """A moment with its zone or offset, between 1900 and 2200. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write it like 2026-03-01T09:30:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write it with Z or an offset such as +02:00")
    if not 1900 <= moment.year < 2200:
        raise ValueError(f"{text!r} is not between 1900 and 2200")
    return moment
