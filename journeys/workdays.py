"""Working days: which days a country works, by its weekend and its public holidays."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

if TYPE_CHECKING:
    from holidays import HolidayBase


def is_working_day(day: date, country: str | None) -> bool:
    """Whether people in the country (ISO 3166-1 alpha-2) work on this day: neither on its weekend nor on a public
    holiday of the whole country, and on a weekend's day that is worked in place of another.

    A country that is unknown or None works from Monday to Friday and has no holidays.
    """
    calendar = _calendar(country, day.year) if country else None
    return day.weekday() < 5 if calendar is None else calendar.is_working_day(day)


def next_working_day(day: date, count: int, country: str | None = None) -> date:
    """The day `count` working days after `day`; `day` itself, whatever it is, when `count` is 0."""
    while count > 0:
        day += timedelta(days=1)
        if is_working_day(day, country):
            count -= 1
    return day


@cache
def _calendar(country: str, year: int) -> HolidayBase | None:
    # only who asks for working days pays for the library; each year stands alone, so that threads never share one
    # that is being filled
    from holidays import country_holidays, list_supported_countries

    if country not in list_supported_countries(include_aliases=False):
        return None
    with catch_warnings():
        simplefilter("ignore")  # a year that the library does not know has its weekends, and that is meant
        return country_holidays(country, years=[year], expand=False)
