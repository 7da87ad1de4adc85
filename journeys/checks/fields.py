"""Whether what a map says of fields fits what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from journeys.conditions import EventTest, FieldTest, Model, Range, ScoreRange, TouchTest, ValueTest
from journeys.fields import Field, Kind
from journeys.parts import parts
from journeys.places import Location
from journeys.steps.effects import SetFields
from journeys.steps.waits import CustomerDate

Remark = tuple[Literal["error", "warning"], Location, str]
_HOLDS: dict[Kind, str] = {
    "text": "text", "number": "a number", "date": "a day", "datetime": "a moment", "boolean": "true or false",
}  # fmt: skip
_STANDARD: dict[str, Kind] = {"score": "number"}


def field_problems(model: BaseModel, fields: Mapping[str, Field]) -> Iterator[Remark]:
    """Tests that no value of their field can pass, values that do not fit, and days that are none. Fields that nobody
    declared are refused when a map or a segment is loaded."""
    for part, at in parts(model):
        match part:
            case CustomerDate():
                kind = _kind(part.field, fields)
                if kind is not None and kind not in ("date", "datetime"):
                    yield "error", (*at, "date"), f"{part.field} holds {_HOLDS[kind]}: a day is wanted here"
            case SetFields(set=values):
                for name, value in values.items():
                    place = (*at, "set", name)
                    if name == "time_zone" and value is not None and not _is_zone(str(value)):
                        yield "error", place, f"{value!r} is no time zone: an IANA name such as Europe/Berlin"
                    elif value is not None and name in fields and (wrong := _unfit(fields[name], value)):
                        yield "error", place, f"{name} {wrong}"
            case FieldTest():
                yield from _blanks(part, at)
                yield from _test(part, at, _kind(part.name, fields), fields.get(part.name))
            case ValueTest() | EventTest() | TouchTest() | Range() | ScoreRange():
                yield from _blanks(part, at)


def _blanks(test: Model, at: Location) -> Iterator[Remark]:
    """Tests without what they are to hold against: they would mean anybody, or nobody."""
    for name in sorted(test.model_fields_set):
        if getattr(test, name) is None:
            key = type(test).model_fields[name].alias or name
            yield "error", (*at, key), f"{key} says nothing: give it a value, or write exists: false for what is blank"


def _kind(name: str, fields: Mapping[str, Field]) -> Kind | None:
    if name in fields:
        return fields[name].type
    return _STANDARD.get(name, "text")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _unfit(field: Field, value: object) -> str | None:
    """Why a value is none of the field's, worded to follow its name."""
    if field.type in ("date", "datetime") and isinstance(value, date):
        moment = isinstance(value, datetime)
        if moment == (field.type == "datetime"):
            return None
        return f"holds {_HOLDS[field.type]}, and {value.isoformat()} is {'a moment' if moment else 'a day'}"
    if field.type == "boolean" and not isinstance(value, bool):
        return f"holds true or false, not {value!r}"
    if field.type == "number" and not isinstance(value, int | float):
        return f"holds a number, not {str(value)!r}"
    try:
        field.read(value.isoformat() if isinstance(value, date) else value)
    except ValueError as error:
        return str(error)
    return None


def _test(test: FieldTest, at: Location, kind: Kind | None, field: Field | None) -> Iterator[Remark]:
    if kind is None:
        return
    severity: Literal["error", "warning"] = "warning" if kind == "text" else "error"
    only = "only those of its values pass that are {}" if kind == "text" else "no value of it is {}"
    for key, value, kinds, what in (
        ("at_least", test.at_least, ("number",), "a number"), ("below", test.below, ("number",), "a number"),
        ("before", test.before, ("date", "datetime"), "a day"), ("after", test.after, ("date", "datetime"), "a day"),
    ):  # fmt: skip
        if value is not None and kind not in kinds:
            yield severity, (*at, key), f"{test.name} holds {_HOLDS[kind]}: {only.format(what)}"
    if field is None or kind == "text":
        return
    for wanted in test.is_ or []:
        whole_day = kind == "datetime" and isinstance(wanted, date)
        if not whole_day and (wrong := _unfit(field, wanted)):
            yield "error", (*at, "is"), f"{test.name} {wrong}"
