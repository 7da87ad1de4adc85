"""Events as others tell of them, read and checked: what the API and files may say of something that happened."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from activities.intake.instants import DateForm, read_instant
from journeys.errors import WaymarkError
from records.incoming import Told

Unknown = Literal["refuse", "create"]
"""What becomes of an event of somebody who is not known."""
FIELDS = ("customer", "event", "at", "value", "key")
"""What an event says beside its properties. `customer` may also be told by `external_id`, `email` or `phone`."""
EVENT_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
LONGEST = {"event": 100, "key": 200, "customer": 320}
LONGEST_PROPERTIES = 50_000
"""Characters of JSON."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
"""How far in the future an event may lie: clocks differ, and a date in another year is a slip."""
MOST = Decimal(10) ** 12
_PLACES = Decimal("1e-12")
_AMOUNT = re.compile(r"([€$£¥￥₹]|[A-Z]{3})?\s*(?P<n>[-+]?[\d.,eE+-]+)\s*([€$£¥￥₹]|[A-Z]{3})?")
_GROUPED: tuple[tuple[re.Pattern[str], dict[str, str | int | None]], ...] = (
    (re.compile(r"-?\d{1,3}(,\d{3})+\.\d+|-?\d{1,3}(,\d{3}){2,}"), {",": ""}),
    (re.compile(r"-?\d{1,3}(\.\d{3})+,\d+|-?\d{1,3}(\.\d{3}){2,}"), {".": "", ",": "."}),
    (re.compile(r"-?\d+,(\d{1,2}|\d{4,})"), {",": "."}),
)
"""Amounts with marks between thousands, or with a decimal comma, that can be read in one way only."""
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{0,8}[1-9])?")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class InvalidEvent(WaymarkError):
    """An event that cannot be taken: what is wrong, by field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(
            "; ".join(f"{name} {problem}" for name, problem in problems.items()),
            hint="Correct the event and send it again.",
        )
        self.problems = dict(problems)


def read_event(
    said: Mapping[str, Any], properties: Mapping[str, Any], *, now: datetime, zone: tzinfo | None = None,
    date_form: DateForm | None = None,
) -> Told:  # fmt: skip
    """An event from what is said of it: `event` and who it happened to are needed, `at` is `now` when left out.

    Times without a zone are read in `zone`, and refused without one.

    Raises:
        InvalidEvent: with everything that is wrong.
    """
    problems: dict[str, str] = {}

    def read(name: str, reader: Any, default: Any = None) -> Any:
        value = said.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return default
        try:
            return reader(value)
        except ValueError as error:
            problems[name] = str(error)
            return default

    kind = next((one for one in ("customer", "external_id", "email", "phone") if one in said), "customer")
    who = read(kind, lambda value: _text(value, "customer", numbers=True))
    name = read("event", read_name)
    at = read("at", lambda value: read_moment(value, now, zone, date_form), now)
    value, key = read("value", read_amount), read("key", lambda value: _text(value, "key"))
    if who is None and kind not in problems:
        problems[kind] = "is missing: say to whom it happened"
    if name is None and "event" not in problems:
        problems["event"] = "is missing: say what happened, such as order.placed"
    try:
        kept = read_properties(properties)
    except ValueError as error:
        problems["properties"] = str(error)
    if problems:
        raise InvalidEvent(problems)
    return Told(kind, who, name, at, key, value, kept)


def read_name(value: object) -> str:
    """A name such as `order.placed`. Raises ValueError."""
    name = value.strip() if isinstance(value, str) else ""
    if len(name) > LONGEST["event"] or not EVENT_NAME.fullmatch(name):
        raise ValueError(f"{str(value)[:60]!r} is no name of an event: small letters with dots, such as order.placed")
    return name


def read_moment(value: object, now: datetime, zone: tzinfo | None, date_form: DateForm | None = None) -> datetime:
    """When it happened (UTC): from 1990 up to a day after `now`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{str(value)[:60]!r} is no moment: write it like 2026-03-01T09:30:00+01:00")
    text = str(value)
    if zone is None and isinstance(value, str) and not _zoned(text):
        raise ValueError(f"{text[:60]!r} has no time zone: write it with Z or an offset such as +02:00")
    moment = read_instant(text, zone or UTC, date_form)
    if moment < EARLIEST:
        raise ValueError(f"{text[:60]!r} lies before 1990, which nobody meant")
    if moment > now + AHEAD:
        raise ValueError(f"{text[:60]!r} lies in the future")
    return moment


def _zoned(text: str) -> bool:
    return bool(re.search(r"([Zz]|UTC|GMT|[+-]\d{2}(:?\d{2})?)\s*$", text[10:])) or text.strip().isdigit()


def read_amount(value: object) -> Decimal:
    """What it was worth: a number from 0 to below 10^12, rounded to 12 places. Raises ValueError."""
    shown = repr(value[:60] if isinstance(value, str) else value)[:60]
    try:
        amount = _amount(value)
    except (InvalidOperation, ValueError):
        raise ValueError(f"{shown} is no number: write it like 1234.5") from None
    if not amount.is_finite():
        raise ValueError(f"{shown} is no number: write it like 1234.5")
    if amount < 0:
        raise ValueError(f"{shown} is negative: an amount that goes back is an event of its own, with its own name")
    if amount >= MOST:
        raise ValueError(f"{shown} is too large: an event is worth less than 10^12")
    return abs(amount) if amount == amount.quantize(_PLACES) else amount.quantize(_PLACES)


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else Decimal("NaN")
    if not isinstance(value, str):
        return Decimal(value)
    found = _AMOUNT.fullmatch(value.strip())
    text = found["n"] if found else value
    for form, changes in _GROUPED:
        if form.fullmatch(text):
            return Decimal(text.translate(str.maketrans(changes)))
    return Decimal(text if len(text) <= 60 and "_" not in text else "NaN")


def read_cell(text: str) -> str | int | float | bool:
    """The value of a cell: a number where writing it again gives the same characters, true or false, else the text."""
    if _NUMBER.fullmatch(text) and text != "-0":
        return float(text) if "." in text else int(text)
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def read_properties(values: Mapping[str, Any]) -> dict[str, Any]:
    """Properties as the records keep them. Raises ValueError for what PostgreSQL's JSON cannot hold, and for too
    much."""
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("hold a number that is not finite, or are nested too deeply") from None
    if len(text) > LONGEST_PROPERTIES:
        raise ValueError(f"have {len(text):,} characters; at most {LONGEST_PROPERTIES:,}")
    if "\\u0000" in text or _UNSTORABLE.search(text):
        raise ValueError("hold a NUL character or half of a character")
    return dict(values)


def _text(value: object, name: str, *, numbers: bool = False) -> str:
    if not isinstance(value, str) and not (numbers and isinstance(value, int) and not isinstance(value, bool)):
        raise ValueError(f"must be text, found {str(value)[:60]!r}")
    text = str(value).strip()
    if len(text) > LONGEST[name]:
        raise ValueError(f"has {len(text):,} characters; at most {LONGEST[name]:,}")
    if _UNSTORABLE.search(text):
        raise ValueError("holds a NUL character or half of a character")
    return text
