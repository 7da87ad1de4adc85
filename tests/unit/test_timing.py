"""What durations mean, in every time zone there is."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.timing import Duration, add, at_wall_time, parse_time_of_day, require_aware, shift
from journeys.workdays import next_working_day

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
zones = st.sampled_from(ZONES).map(ZoneInfo)
# hypothesis takes naive bounds
instants = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@given(instants, zones, st.integers(1, 5000))
def test_hours_and_minutes_are_elapsed_time_everywhere(at: datetime, zone: ZoneInfo, count: int) -> None:
    assert add(at, Duration(count, "h"), zone) - at == timedelta(hours=count)
    assert add(at, Duration(count, "m"), zone) - at == timedelta(minutes=count)


@given(instants, zones, st.integers(1, 400), st.sampled_from(["d", "w"]))
def test_days_keep_the_wall_time_or_move_forward_out_of_a_gap(
    at: datetime, zone: ZoneInfo, count: int, unit: str
) -> None:
    local = at.astimezone(zone)
    later = add(at, Duration(count, unit), zone).astimezone(zone)  # type: ignore[arg-type]
    wanted = datetime.combine(local.date() + timedelta(days=count * (7 if unit == "w" else 1)), local.time())
    shown = later.replace(tzinfo=None, fold=0)
    assert shown == wanted or (shown > wanted and not exists(wanted, zone))


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks in the zone ever show this wall time (PEP 495: an existing time survives the round trip)."""
    there = wall.replace(tzinfo=zone).astimezone(UTC)
    return there.astimezone(zone).replace(tzinfo=None, fold=0) == wall.replace(fold=0)


@given(instants, zones, st.integers(1, 60), st.sampled_from(["mo", "y"]))
def test_months_and_years_never_leave_the_month_they_mean(at: datetime, zone: ZoneInfo, count: int, unit: str) -> None:
    day = at.astimezone(zone).date()
    there = shift(day, Duration(count, unit))  # type: ignore[arg-type]
    months = count * (12 if unit == "y" else 1)
    assert (there.year * 12 + there.month) - (day.year * 12 + day.month) == months
    assert there.day == day.day or (there + timedelta(days=1)).day == 1


@given(instants, zones, st.integers(1, 400))
def test_later_never_comes_before_now(at: datetime, zone: ZoneInfo, count: int) -> None:
    assert add(at, Duration(count, "d"), zone) > at - timedelta(hours=1)


def test_a_wall_time_in_the_spring_gap_moves_to_the_first_one_that_exists() -> None:
    assert at_wall_time(date(2026, 3, 29), time(2, 30), BERLIN) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_wall_time_that_comes_twice_in_autumn_means_the_first() -> None:
    assert at_wall_time(date(2026, 10, 25), time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_day_that_a_zone_skipped_altogether_moves_to_the_next() -> None:
    # Samoa crossed the date line: 30 December 2011 did not happen there.
    apia = ZoneInfo("Pacific/Apia")
    assert (
        at_wall_time(date(2011, 12, 30), time(9, 0), apia).astimezone(apia).isoformat() == "2011-12-31T00:00:00+14:00"
    )


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-01-31T09:00", "1mo", "2026-02-28T09:00"),
        ("2028-01-31T09:00", "1mo", "2028-02-29T09:00"),
        ("2028-02-29T09:00", "1y", "2029-02-28T09:00"),
        ("2026-03-28T09:00", "1d", "2026-03-29T09:00"),
        ("2026-10-24T09:00", "1w", "2026-10-31T09:00"),
        ("2026-03-31T09:00", "-1mo", "2026-02-28T09:00"),
    ],
)
def test_calendar_units_keep_the_wall_time(start: str, duration: str, end: str) -> None:
    assert add(berlin(start), Duration.parse(duration), BERLIN) == berlin(end)


def test_a_day_over_the_spring_change_has_23_hours() -> None:
    start = berlin("2026-03-28T12:00")
    assert add(start, Duration.parse("1d"), BERLIN) - start == timedelta(hours=23)


@pytest.mark.parametrize("text", ["", "d", "2", "2 parsecs", "1.5d", "2dd", "99y", "3661d", "1000000m", "٣d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|ten years"):
        Duration.parse(text)


@given(st.integers(1, 3), st.sampled_from(["m", "h", "d", "w", "mo", "y"]), st.sampled_from(["", "-", "+"]))
def test_a_duration_reads_back_what_it_writes(count: int, unit: str, sign: str) -> None:
    duration = Duration.parse(f"{sign}{count}{unit}")
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize("text", ["9:00", "24:00", "12:60", "noon", "09:00:00"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time of day"):
        parse_time_of_day(text)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        require_aware(datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 30))
def test_working_days_are_never_on_a_weekend(day: date, count: int) -> None:
    there = next_working_day(day, count)
    between = [day + timedelta(days=number) for number in range(1, (there - day).days + 1)]
    assert there.weekday() < 5
    assert sum(one.weekday() < 5 for one in between) == count
