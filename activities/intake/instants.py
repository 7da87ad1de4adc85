"""Moments as people and machines write them, read as moments in UTC: what can be read in two ways is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal

DateForm = Literal["dmy", "mdy"]
"""Which of two numbers before a year is the day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = (
    r"(?:[T ]\s*(?P<h>\d{1,2})[:.](?P<min>\d{2})(?:[:.](?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<m>[AaPp]\.?[Mm]\.?)?)?"
)
_ZONE = r"(?:\s*(?P<zone>[Zz]|UTC|GMT|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?))?"
_YEAR_FIRST = re.compile(
    rf"(?P<y>\d{{4}})(?P<sep>[-/.]|年)(?P<mo>\d{{1,2}})(?:(?P=sep)|月)(?P<d>\d{{1,2}})日?,?{_CLOCK}{_ZONE}"
)
_YEAR_LAST = re.compile(rf"(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}),?{_CLOCK}{_ZONE}")
_COMPACT = re.compile(
    r"(?P<y>(?:19|20)\d{2})(?P<mo>\d{2})(?P<d>\d{2})(?:T?(?P<h>\d{2})(?P<min>\d{2})(?P<s>\d{2})?(?:\.(?P<f>\d{1,9}))?)?"
    rf"{_ZONE}"
)
_WRITTEN_OUT = re.compile(
    r"(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[ -](?P<mo>[A-Za-z]{3,9})\.?|"
    r"(?P<mo2>[A-Za-z]{3,9})\.?[ -](?P<d2>\d{1,2})(?:st|nd|rd|th)?)"
    rf",?[ -](?P<y>\d{{4}}),?{_CLOCK}{_ZONE}"
)
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_NUMBER = re.compile(r"(?P<n>\d{9,16})(?P<f>\.\d{1,9})?")
_UNITS = ((10, 1), (13, 1_000), (16, 1_000_000))
"""Up to so many digits, a number counts seconds, milliseconds or microseconds since 1970."""
_SHARE = 10
"""One day in so many must show the form by itself: of real days, more than every second one is past the 12th."""
_LIKE = "write it like 2026-03-01T09:30:00+01:00"
LOOKED_AT = 1_000
"""Days of a column among which one such as 03/04/2026 must be for the whole file to be asked how it is meant."""
_TWO_WAYS = re.compile(r"\d{1,2}[/-]\d")


def read_instant(text: str, zone: tzinfo, date_form: DateForm | None = None) -> datetime:
    """The moment (UTC) that a text names.

    ISO 8601 with an offset stands for itself. A time without one is read by the clocks of `zone`, a day alone as its
    first moment there; a time that clocks show twice is the first, one that they skip is as much later. Seconds,
    milli- and microseconds since 1970 are told apart by their digits. Of two numbers before a year, the day is the
    one that can be no month; else `date_form` says which, and 4.3.2026 has the day first.

    Raises:
        ValueError: worded to follow the name of the field.
    """
    text = text.strip()
    try:
        return _read(text, zone, date_form)
    except (OverflowError, ValueError) as error:
        if isinstance(error, _Unreadable):
            raise
        raise _Unreadable(f"{text[:60]!r} is no moment that exists: {_LIKE}") from None


def two_ways(text: str) -> bool:
    """Whether a text begins like a day of which either number may be the day, such as 03/04/2026."""
    return _TWO_WAYS.match(text) is not None


def form_of(texts: Iterable[str]) -> DateForm | None:
    """Which of two numbers before a year is the day, where a whole column shows it: enough of its days can only be
    read in one way, and none only in the other."""
    doubtful, shown = 0, {"dmy": 0, "mdy": 0}
    for text in texts:
        if (found := _YEAR_LAST.fullmatch(text)) and found["sep"] != ".":
            first, second = int(found["a"]), int(found["b"])
            doubtful += first != second
            shown["dmy"] += first > 12 >= second
            shown["mdy"] += second > 12 >= first
    if shown["dmy"] and shown["mdy"]:
        return None
    form: DateForm = "dmy" if shown["dmy"] else "mdy"
    return form if shown[form] * _SHARE >= doubtful > 0 else None


class _Unreadable(ValueError):
    """Says what is wrong already."""


def _read(text: str, zone: tzinfo, date_form: DateForm | None) -> datetime:
    if len(text) >= 20 and text[10] == "T" and text[-3] in ":+-" and text[-6] in "+-":
        # The form in which machines write, as fast as it can be read.
        return datetime.fromisoformat(text).astimezone(UTC)
    if (found := _NUMBER.fullmatch(text)) and (moment := _counted(found)) is not None:
        return moment
    if found := _COMPACT.fullmatch(text) or _YEAR_FIRST.fullmatch(text):
        parts = found.groupdict()
        return _moment(parts, int(parts["mo"]), int(parts["d"]), zone)
    if found := _YEAR_LAST.fullmatch(text):
        parts = found.groupdict()
        month, day = _order(text, int(parts["a"]), int(parts["b"]), parts["sep"], date_form)
        return _moment(parts, month, day, zone)
    if found := _WRITTEN_OUT.fullmatch(text):
        parts = found.groupdict()
        return _moment(parts, _month(parts["mo"] or parts["mo2"] or ""), int(parts["d"] or parts["d2"] or 0), zone)
    if text[-1:].isalnum() and re.search("[A-Za-z]{3}", text) and re.search(r"\d{4}.*\d:\d\d", text):
        moment = parsedate_to_datetime(text)
        return _in(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)
    if re.fullmatch(r"\d{5}(\.\d+)?", text):
        raise _Unreadable(f"{text!r} is a day as spreadsheets count them: save the column as text, {_LIKE}")
    raise _Unreadable(f"{text[:60]!r} is no moment: {_LIKE}")


def _counted(found: re.Match[str]) -> datetime | None:
    """A count since 1970; None for one that can only be a day and time in digits, such as 202603010930."""
    digits = found["n"]
    unit = next(unit for most, unit in _UNITS if len(digits) <= most)
    moment = _EPOCH + timedelta(microseconds=int(digits) * (1_000_000 // unit))
    if moment.year < 1990 and _COMPACT.fullmatch(digits):
        return None
    return moment + timedelta(seconds=float(found["f"] or 0) / unit)


def _month(name: str) -> int:
    """The number of a month in English, by its first three letters or more. Raises ValueError."""
    found = [number for number, month in enumerate(_MONTHS, 1) if month.startswith(name.lower())]
    if len(found) != 1:
        raise ValueError("no such month")
    return found[0]


def _order(text: str, first: int, second: int, mark: str, date_form: DateForm | None) -> tuple[int, int]:
    """Month and day."""
    form = date_form or ("dmy" if mark == "." or first > 12 else "mdy" if second > 12 or first == second else None)
    if form is None:
        raise _Unreadable(f"{text[:60]!r} can be read in two ways: say which with --date-form dmy or mdy, or {_LIKE}")
    return (second, first) if form == "dmy" else (first, second)


def _moment(parts: dict[str, str | None], month: int, day: int, zone: tzinfo) -> datetime:
    hour, half = int(parts.get("h") or 0), (parts.get("m") or "").lower().replace(".", "")
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        hour = hour % 12 + (12 if half == "pm" else 0)
    after = timedelta(days=1) if hour == 24 and not int(parts["min"] or 0) + int(parts["s"] or 0) else timedelta()
    micro = int((parts.get("f") or "").ljust(6, "0")[:6] or 0)
    clock = time(hour % 24 if after else hour, int(parts.get("min") or 0), int(parts.get("s") or 0) % 60, micro)
    if int(parts.get("s") or 0) > 60:
        raise ValueError("no such second")
    naive = datetime.combine(date(int(parts["y"] or 0), month, day), clock) + after
    return _in(naive, _offset(parts["zone"]) if parts.get("zone") else zone)


@lru_cache(maxsize=64)
def _offset(text: str | None) -> tzinfo:
    digits = re.sub(r"[^\d+-]", "", text or "")
    if not digits:
        return UTC
    ahead = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5] or 0))
    return timezone(-ahead if digits[0] == "-" else ahead)


def _in(naive: datetime, zone: tzinfo) -> datetime:
    return naive.replace(tzinfo=zone).astimezone(UTC)
