"""Days as lists hold them: read where only one day can be meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from babel import Locale

from activities.intake import instants
from activities.intake.cells import tidy
from activities.intake.instants import DateForm
from activities.intake.places import plain
from activities.intake.tabular import Form, records_of

NEVER = frozenset({
    "never", "nie", "0", "0000-00-00", "00.00.0000", "00/00/0000", "0000-00-00 00:00:00", "1900-01-00", "0.0.00",
    "0/0/00", "00.00.00", "00/00/00", "0000/00/00", "1/1/4501", "1.1.4501", "01.01.4501", "4501-01-01",
})  # fmt: skip
"""What programs write for no day."""
NO_YEAR = 1900
"""The year of a birthday of which only month and day are known; 29 February has the first one after it that has it."""
_SERIAL = re.compile(r"^\d{5}([.,]\d+)?$")
_TIME = re.compile(
    r"(?<=[\d日])[T ,]+\d{1,2}[:.]\d{2}([:.]\d{2}([.,]\d+)?)?\s*([ap]\.?m\.?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?$",
    re.IGNORECASE,
)
"""A time of the day behind a day: the day is the one that was written."""
_DAY_FIRST = re.compile(r"^(\d{1,2})([./-])\s?(\d{1,2})\2\s?(\d{4})\.?$")
_WITHOUT_YEAR = re.compile(r"^(\d{1,2})([./-])\s?(\d{1,2})\.?$")
_MONTH_FIRST = re.compile(r"^(?:--(\d{2})-?(\d{2})|(\d{1,2})月(\d{1,2})日)$")
_YEAR_FIRST = re.compile(r"^(\d{4})([./-])\s?(\d{1,2})\2\s?(\d{1,2})\.?$")
_SPOKEN = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "cs")
_BETWEEN = frozenset({"de", "of", "the", "del", "den", "er", "st", "nd", "rd", "th", "do"})


def tidy_date(text: str, form: DateForm | None = None) -> str:
    """A day in a form that can be read in one way only, as `YYYY-MM-DD`; anything else as it is. `form`: which of two
    numbers is the day, where that is known of the whole list.

    Raises ValueError when it is Excel's count of days.
    """
    text = _TIME.sub("", text)
    if match := _DAY_FIRST.match(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        # A day above 12 gives itself away; with dots the day is first everywhere.
        if match[2] == "." or first > 12 or first == second or (form == "dmy" and second <= 12):
            return f"{year:04}-{second:02}-{first:02}"
        return f"{year:04}-{first:02}-{second:02}" if second > 12 or form == "mdy" else text
    if match := _YEAR_FIRST.match(text):
        return f"{match[1]}-{int(match[3]):02}-{int(match[4]):02}"
    if _SERIAL.match(text):
        raise ValueError(f"{text!r} is Excel's count of days: format the column as a date and export it again")
    return _written_out(text) or text


def form_of(path: Path, form: Form, columns: Collection[int], header_line: int) -> DateForm | None:
    """Which of two numbers is the day in a list, where the days in its columns of days show it; a year may be missing.
    The whole file is read where the first days of a column are such days, however far down they stand."""

    def said() -> Iterator[tuple[int, str]]:
        rows = (one.cells for one in records_of(path, form) if one.line > header_line)
        return ((at, day) for row in rows for at in columns if at < len(row) and (day := tidy(row[at])))

    if not _asks(said(), columns):
        return None
    return instants.form_of(_WITHOUT_YEAR.sub(r"\1\2\3\g<2>2000", day) for _, day in said())


def _asks(said: Iterable[tuple[int, str]], columns: Collection[int]) -> bool:
    """Whether one of the first days of a column can be read in two ways."""
    left = dict.fromkeys(columns, instants.LOOKED_AT)
    for at, day in said:
        if at in left:
            if instants.two_ways(day):
                return True
            left[at] -= 1
            if not left[at]:
                del left[at]
        elif not left:
            break
    return False


def tidy_birthday(text: str, form: DateForm | None = None) -> str:
    """Like `tidy_date`; a day without a year, as address books write birthdays, gets `NO_YEAR`."""
    leap = NO_YEAR + 4
    if match := _MONTH_FIRST.match(text):
        found = "-".join([str(leap), *(part.zfill(2) for part in match.groups() if part)])
    elif match := _WITHOUT_YEAR.match(text):
        found = tidy_date(f"{match[1]}{match[2]}{match[3]}{match[2]}{leap}", form)
    else:
        found = _written_out(f"{text} {leap}") or ""
    if not re.fullmatch(rf"{leap}-\d\d-\d\d", found):
        return tidy_date(text, form)
    return found if found.endswith("-02-29") else f"{NO_YEAR}{found[4:]}"


def _written_out(text: str) -> str | None:
    """A day with the name of its month, in the languages of most lists."""
    words = [word for word in re.findall(r"\d+|[^\W\d_]+", plain(text)) if word not in _BETWEEN]
    months, days = _names()
    figures = [word for word in words if word.isdigit()]
    named = [months[word] for word in words if word in months]
    rest = [word for word in words if not word.isdigit() and word not in months and word not in days]
    if rest or len(named) != 1 or sorted(map(len, figures)) not in ([1, 4], [2, 4]):
        return None
    day, year = sorted(figures, key=len)
    return f"{year}-{named[0]:02}-{int(day):02}"


@cache
def _names() -> tuple[dict[str, int], frozenset[str]]:
    """The names of months, and of the days of the week."""
    months: dict[str, int] = {}
    days: set[str] = set()
    for tongue in _SPOKEN:
        locale = Locale.parse(tongue)
        for form in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                months |= {plain(str(name)): number for number, name in locale.months[form][width].items()}
                days |= {plain(str(name)) for name in locale.days[form][width].values()}
    # A day of the week such as `mar` (Tuesday in French) does not stand with the month `mar`.
    return {name: number for name, number in months.items() if not name.isdigit()}, frozenset(days - months.keys())
