"""The custom fields that a workspace declares in `definitions/fields.yaml`, and what their values may be.

Journeys, templates, the CSV import and the HTTP API know these fields and the standard ones, and no others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from journeys.conditions import STANDARD_FIELDS
from journeys.errors import WaymarkError
from journeys.source import LARGEST, Problem, unknown_word

Kind = Literal["text", "number", "date", "datetime", "boolean"]
Value = str | int | float | bool
"""What the record keeps: dates and datetimes as ISO 8601 text, datetimes with their offset."""

NAME = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
LONGEST_TEXT = 2000
TAKEN = {*STANDARD_FIELDS, "id", "tags", "properties", "created_at", "updated_at", "qualified_at"}
_RELATIVE = re.compile(r"^([+-]\d{1,5})d$")
_DATE_FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d", "%Y年%m月%d日")
_YES = {
    "yes",
    "y",
    "true",
    "t",
    "1",
    "on",
    "ja",
    "oui",
    "si",
    "sí",
    "是",
    "subscribed",
    "opted in",
    "opt-in",
    "granted",
}
_NO = {"no", "n", "false", "f", "0", "off", "nein", "non", "否", "unsubscribed", "opted out", "opt-out"}


class InvalidFields(WaymarkError):
    """A fields.yaml that cannot be used; `problems` says where and why. Correct the file and try again."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), hint="Correct the file and try again.")
        self.problems = problems


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


def load_fields(path: Path) -> dict[str, Field]:
    """The declared fields by name; none when there is no such file. Raises InvalidFields with every problem found."""
    if not path.exists():
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidFields([Problem(str(path), 1, 1, f"is larger than {LARGEST:,} bytes")])
        return parse_fields(path.read_bytes().decode("utf-8-sig"), str(path))
    except OSError as error:
        raise InvalidFields([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidFields([Problem(str(path), line, 1, "is not UTF-8: save the file in UTF-8")]) from error


def parse_fields(text: str, file: str = "fields.yaml") -> dict[str, Field]:
    """The declared fields in this text, which names come from `file`. Raises InvalidFields."""
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidFields([Problem(file, line, column, f"is not YAML: {error.problem or error.context}")]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InvalidFields([Problem(file, 1, 1, f"is not YAML: {error}".splitlines()[0])]) from error
    reader = _Reader(file)
    fields = reader.fields(root) if root is not None else {}
    if reader.problems:
        raise InvalidFields(reader.problems)
    return fields


@dataclass
class _Reader:
    file: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, node: Node, message: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, node.start_mark.column + 1, message))

    def entries(self, node: Node, what: str) -> list[tuple[str, Node, Node]]:
        if node.anchor:
            self.wrong(node, "anchors and aliases (&name, *name) are not read: write it out")
            return []
        if not isinstance(node, MappingNode):
            self.wrong(node, f"{what} must be a mapping")
            return []
        seen: dict[str, tuple[str, Node, Node]] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else ""
            if name in seen:
                self.wrong(key, f"{name} stands twice")
            seen[name] = (name, key, value)
        return list(seen.values())

    def fields(self, root: Node) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for word, key, value in self.entries(root, "the file"):
            if word != "fields":
                self.wrong(key, unknown_word(word, ["fields"], "is not known here"))
                continue
            if isinstance(value, ScalarNode) and value.value in ("", "~", "null"):
                continue
            for name, key_node, spec in self.entries(value, "fields"):
                if one := self.field(name, key_node, spec):
                    found[name] = one
        return found

    def field(self, name: str, key: Node, spec: Node) -> Field | None:
        before = len(self.problems)
        if not NAME.match(name):
            self.wrong(key, f"{name!r} is no name of a field: small letters, digits and underscores")
        elif name in TAKEN:
            self.wrong(key, f"{name} is a standard field already: choose another name")
        values: dict[str, Any] = {}
        for word, key_node, value in self.entries(spec, name):
            if word not in ("type", "title"):
                self.wrong(key_node, unknown_word(word, ["type", "title"], "is not known here"))
            elif not isinstance(value, ScalarNode) or not value.value:
                self.wrong(value, f"{word} must be a word")
            elif word == "type" and value.value not in get_args(Kind):
                self.wrong(value, unknown_word(value.value, get_args(Kind), "is no type of a field"))
            else:
                values[word] = value.value
        if "type" not in values and len(self.problems) == before:
            self.wrong(key, f"{name} has no type: one of {', '.join(get_args(Kind))}")
        if len(self.problems) > before:
            return None
        return Field(name, values["type"], values.get("title") or name.replace("_", " ").capitalize())


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
