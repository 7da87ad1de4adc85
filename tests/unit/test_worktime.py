"""Working time: hours and days that count, forwards and backwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.worktime import Span, WorkWeek

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = WorkWeek(ZoneInfo("UTC"), None, ("mon", "tue", "wed", "thu", "fri"), 9 * 60, 18 * 60)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "span", "end"),
    [
        ("2026-03-02 10:00", "4 working hours", "2026-03-02 14:00"),
        ("2026-03-02 17:00", "4 working hours", "2026-03-03 12:00"),
        ("2026-03-06 17:00", "2 working hours", "2026-03-09 10:00"),
        ("2026-03-07 12:00", "1 working hour", "2026-03-09 10:00"),
        ("2026-03-02 14:00", "4 working hours", "2026-03-02 18:00"),
        ("2026-03-02 10:00", "20 working hours", "2026-03-04 12:00"),
        ("2026-03-02 10:00", "1 working day", "2026-03-03 10:00"),
        ("2026-03-06 22:00", "1 working day", "2026-03-10 09:00"),
        ("2026-03-06 10:00", "1 working day", "2026-03-09 10:00"),
        ("2026-03-06 10:00", "4h", "2026-03-06 14:00"),
        ("2026-03-06 10:00", "1d", "2026-03-07 10:00"),
    ],
)
def test_a_span_of_working_time_ends_when_so_much_was_worked(start: str, span: str, end: str) -> None:
    assert OFFICE.after(at(start), Span.parse(span)) == at(end)


@pytest.mark.parametrize(
    ("end", "span", "start"),
    [
        ("2026-03-02 10:00", "2 working hours", "2026-02-27 17:00"),
        ("2026-03-02 10:00", "2h", "2026-03-02 08:00"),
        ("2026-03-02 10:00", "1 working day", "2026-02-27 10:00"),
    ],
)
def test_before_a_moment_the_same_time_counts(end: str, span: str, start: str) -> None:
    assert OFFICE.before(at(end), Span.parse(span)) == at(start)


@given(MOMENTS, st.integers(1, 200))
def test_between_a_moment_and_so_many_working_hours_later_so_much_is_worked(moment: datetime, hours: int) -> None:
    end = OFFICE.after(moment, Span(hours, "hour"))
    worked, day = timedelta(), moment.date()
    while day <= end.date():
        if day.weekday() < 5:
            opens, closes = (datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for hour in (9, 18))
            worked += max(min(closes, end) - max(opens, moment), timedelta())
        day += timedelta(days=1)
    assert worked == timedelta(hours=hours)


@given(MOMENTS, st.integers(1, 40), st.sampled_from(["day", "hour"]))
def test_what_is_due_is_due_in_working_hours(moment: datetime, count: int, unit: str) -> None:
    end = OFFICE.after(moment, Span(count, unit))  # type: ignore[arg-type]
    assert OFFICE.works_on(end.date())
    assert 9 * 60 <= end.hour * 60 + end.minute <= 18 * 60


def test_the_hours_are_those_of_clocks_where_somebody_lives_also_when_they_are_changed() -> None:
    week = WorkWeek(BERLIN, None, None, 9 * 60, 17 * 60)
    friday = datetime(2026, 3, 27, 16, 0, tzinfo=BERLIN)
    assert week.after(friday, Span.parse("2 working hours")) == datetime(2026, 3, 30, 10, 0, tzinfo=BERLIN)


def test_holidays_of_the_country_and_days_off_are_not_worked() -> None:
    week = WorkWeek(BERLIN, "DE", None, 9 * 60, 17 * 60, ((date(2026, 4, 7), date(2026, 4, 8)),))
    maundy_thursday = datetime(2026, 4, 2, 12, 0, tzinfo=BERLIN)
    assert week.after(maundy_thursday, Span.parse("1 working day")).date() == date(2026, 4, 9)


def test_a_sunday_that_china_works_in_place_of_another_day_is_worked() -> None:
    assert WorkWeek(ZoneInfo("Asia/Shanghai"), "CN").works_on(date(2025, 1, 26))


@pytest.mark.parametrize(
    "text", ["", "soon", "0 working days", "-1h", "4 working", "1 working week", "1.5 working hours"]
)
def test_what_is_no_stretch_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"stretch of time|longer than nothing"):
        Span.parse(text)
