"""Which days a country works."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from holidays import country_holidays, list_supported_countries
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.sales.due import due_at
from journeys.workdays import is_working_day, next_working_day

DAY = timedelta(days=1)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
countries = st.sampled_from(sorted(list_supported_countries(include_aliases=False)))
nowhere = st.none() | st.sampled_from(["", "XX", "fr", "FRA", "HolidayBase", "registry", "__name__"])


@pytest.mark.parametrize(
    ("day", "country", "worked"),
    [
        ("2026-05-01", "FR", False),  # a Friday, Labour Day
        ("2026-05-01", "US", True),
        ("2026-07-14", "FR", False),
        ("2026-07-14", "DE", True),
        ("2026-05-02", "FR", False),  # a Saturday
        ("2026-05-01", "SA", False),  # Friday and Saturday are the weekend
        ("2026-05-03", "SA", True),  # a Sunday
        ("2026-05-03", "IL", True),
        ("2026-02-14", "CN", True),  # a Saturday, worked for the Spring Festival
        ("2021-12-31", "US", False),  # New Year's Day of 2022 fell on a Saturday
        ("2026-05-01", None, True),
        ("2026-05-02", None, False),
    ],
)
def test_a_country_works_neither_on_its_weekend_nor_on_its_holidays(
    day: str, country: str | None, worked: bool
) -> None:
    assert is_working_day(date.fromisoformat(day), country) is worked


@given(days, nowhere)
def test_a_country_that_is_unknown_works_from_monday_to_friday(day: date, country: str | None) -> None:
    assert is_working_day(day, country) == (day.weekday() < 5)


@pytest.mark.filterwarnings("ignore:Requested Holidays are available only")
@settings(max_examples=60, deadline=None)
@given(days, countries)
def test_a_year_looked_at_alone_is_as_the_library_has_it(day: date, country: str) -> None:
    assert is_working_day(day, country) == country_holidays(country).is_working_day(day)


@settings(max_examples=60, deadline=None)
@given(days, st.integers(1, 15), countries | nowhere)
def test_so_many_working_days_later_is_a_working_day_with_the_others_between(
    day: date, count: int, country: str | None
) -> None:
    there = next_working_day(day, count, country)
    between = [day + number * DAY for number in range(1, (there - day).days + 1)]
    assert is_working_day(there, country)
    assert sum(is_working_day(one, country) for one in between) == count


@settings(max_examples=60, deadline=None)
@given(days, st.integers(0, 5), countries)
def test_who_starts_later_is_never_done_sooner(day: date, count: int, country: str) -> None:
    assert next_working_day(day, count, country) <= next_working_day(day + DAY, count, country)


@pytest.mark.filterwarnings("error")
def test_a_year_that_the_library_does_not_know_has_its_weekends_and_no_holidays() -> None:
    assert is_working_day(date(2500, 1, 1), "FR")  # a Friday
    assert not is_working_day(date(2500, 1, 2), "FR")
    assert is_working_day(date.max, "FR")


def test_no_working_day_later_is_the_day_itself() -> None:
    assert next_working_day(date(2026, 5, 2), 0, "FR") == date(2026, 5, 2)


def test_over_christmas_and_new_year_the_holidays_of_both_years_are_left_out() -> None:
    # Thursday 24 December 2026: Friday 25 is a holiday, so is Friday 1 January
    assert next_working_day(date(2026, 12, 24), 5, "FR") == date(2027, 1, 4)


@pytest.mark.parametrize(
    ("country", "due"), [(None, "2026-05-01T10:30"), ("FR", "2026-05-04T10:30"), ("XX", "2026-05-01T10:30")]
)
def test_a_task_due_in_working_days_is_due_at_the_same_wall_time(country: str | None, due: str) -> None:
    paris = ZoneInfo("Europe/Paris")
    now = datetime(2026, 4, 30, 10, 30, tzinfo=paris)
    wanted = datetime.fromisoformat(due).replace(tzinfo=paris).astimezone(UTC)
    assert due_at("1 working day", now, paris, country) == wanted


def test_who_never_asks_does_not_load_the_library() -> None:
    code = "import sys, journeys.workdays as w, datetime; w.is_working_day(datetime.date(2026, 1, 1), None)"
    checked = f"{code}; sys.exit('holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", checked], check=False).returncode == 0
