"""What durations mean, in every time zone there is."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.timing import (
    Duration,
    add,
    anniversary,
    at_wall_time,
    next_time_of_day,
    next_weekday,
    parse_time_of_day,
    punctual,
    require_aware,
    shift,
)

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


# Order


@given(instants, instants, zones, st.integers(1, 400), st.sampled_from(["d", "w"]))
def test_days_keep_the_order_of_wall_times(
    one: datetime, other: datetime, zone: ZoneInfo, count: int, unit: str
) -> None:
    first, second = sorted((one, other), key=lambda at: at.astimezone(zone).replace(tzinfo=None))
    duration = Duration(count, unit)  # type: ignore[arg-type]
    assert add(first, duration, zone) <= add(second, duration, zone)


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.integers(0, 40), st.integers(-60, 60))
def test_months_keep_the_order_of_days(day: date, later: int, count: int) -> None:
    duration = Duration(count, "mo")
    assert shift(day, duration) <= shift(day + timedelta(days=later), duration)


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), zones, st.times(), st.times())
def test_on_one_day_a_later_wall_time_never_comes_first(day: date, zone: ZoneInfo, one: time, other: time) -> None:
    first, second = sorted((one, other))
    assert at_wall_time(day, first, zone) <= at_wall_time(day, second, zone)


@given(instants, zones, st.integers(-400, 400), st.sampled_from(["m", "h", "d", "w", "mo", "y"]))
def test_no_result_is_naive(at: datetime, zone: ZoneInfo, count: int, unit: str) -> None:
    there = add(at.astimezone(zone), Duration(min(count, 10), unit), zone)  # type: ignore[arg-type]
    assert there.tzinfo is UTC


# A contact that moves to another zone


@given(instants, zones, zones, st.integers(1, 60))
def test_who_moves_while_it_waits_would_have_waited_as_long_but_for_changes_of_clocks(
    at: datetime, here: ZoneInfo, there: ZoneInfo, count: int
) -> None:
    def shifted(zone: ZoneInfo, until: datetime) -> timedelta:
        before, after = at.astimezone(zone).utcoffset(), until.astimezone(zone).utcoffset()
        assert before is not None
        assert after is not None
        return abs(after - before)

    duration = Duration(count, "d")
    staying, moving = add(at, duration, here), add(at, duration, there)
    assert abs(staying - moving) <= shifted(here, staying) + shifted(there, moving) + timedelta(hours=2)
    assert at.astimezone(here) == at.astimezone(there)  # a wait is told by instants: nothing is due twice or never


# The next time of day


@given(instants, zones, st.times(), st.frozensets(st.integers(0, 6), min_size=1))
def test_the_next_weekday_shows_the_wall_time_and_is_the_first_that_does(
    now: datetime, zone: ZoneInfo, wall: time, weekdays: frozenset[int]
) -> None:
    found = next_weekday(now, weekdays, wall, zone)
    assert found >= now
    assert found.tzinfo is UTC
    today = now.astimezone(zone).date()
    moments = {
        day: at_wall_time(day, wall, zone)
        for day in (today + timedelta(days=number) for number in range(-2, 17))
        if day.weekday() in weekdays and at_wall_time(day, time(), zone).astimezone(zone).date() == day
    }
    assert found == min(moment for moment in moments.values() if moment >= now)
    local = found.astimezone(zone)
    assert local.replace(tzinfo=None, fold=0) == datetime.combine(local.date(), wall) or not all(
        exists(datetime.combine(day, wall), zone) for day in (local.date(), local.date() - timedelta(days=1))
    )


@given(instants, zones, st.times())
def test_the_next_time_of_day_is_at_most_a_day_and_a_change_of_clocks_away(
    now: datetime, zone: ZoneInfo, wall: time
) -> None:
    assert timedelta(0) <= next_time_of_day(now, wall, zone) - now < timedelta(hours=27)


@given(instants, st.timedeltas(timedelta(0), timedelta(days=3)), zones, st.times())
def test_who_asks_later_is_never_told_an_earlier_time_of_day(
    now: datetime, later: timedelta, zone: ZoneInfo, wall: time
) -> None:
    assert next_time_of_day(now, wall, zone) <= next_time_of_day(now + later, wall, zone)


def test_the_next_time_of_day_is_now_when_it_is_that_time() -> None:
    assert next_time_of_day(berlin("2026-05-04T09:00"), time(9), BERLIN) == berlin("2026-05-04T09:00")
    assert next_time_of_day(berlin("2026-05-04T09:00:00.000001"), time(9), BERLIN) == berlin("2026-05-05T09:00")


def test_of_a_time_of_day_that_comes_twice_the_second_is_not_meant() -> None:
    second = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)  # 02:15 for the second time
    assert next_time_of_day(second, time(2, 30), BERLIN) == berlin("2026-10-26T02:30")


def test_a_time_of_day_in_the_gap_is_the_end_of_the_gap() -> None:
    assert next_time_of_day(berlin("2026-03-28T12:00"), time(2, 30), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_gap_over_midnight_moves_a_late_evening_to_the_beginning_of_the_next_day() -> None:
    nuuk = ZoneInfo("America/Nuuk")  # 28 March 2026, 23:00 to 29 March, 00:00
    midnight = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert next_time_of_day(midnight - timedelta(hours=1), time(23, 30), nuuk) == midnight
    assert next_time_of_day(midnight, time(23, 30), nuuk) == midnight


def test_a_day_that_a_zone_skipped_has_no_time_of_day() -> None:
    apia = ZoneInfo("Pacific/Apia")
    evening = datetime(2011, 12, 29, 18, tzinfo=apia)
    assert next_time_of_day(evening, time(9), apia) == datetime(2011, 12, 31, 9, tzinfo=apia).astimezone(UTC)
    friday = frozenset({4})
    assert next_weekday(evening, friday, time(9), apia) == datetime(2012, 1, 6, 9, tzinfo=apia).astimezone(UTC)


@pytest.mark.parametrize("weekdays", [frozenset(), frozenset({7})])
def test_a_weekday_that_there_is_not_is_refused(weekdays: frozenset[int]) -> None:
    with pytest.raises(ValueError, match="no such weekday"):
        next_weekday(berlin("2026-05-04T09:00"), weekdays, time(9), BERLIN)


# Anniversaries


@pytest.mark.parametrize(
    ("day", "year", "kept"),
    [
        ("2000-02-29", 2026, "2026-02-28"),
        ("2000-02-29", 2028, "2028-02-29"),
        ("2000-02-29", 2100, "2100-02-28"),
        ("2001-02-28", 2028, "2028-02-28"),
        ("1990-12-31", 2026, "2026-12-31"),
    ],
)
def test_29_february_is_kept_on_the_28th_in_other_years(day: str, year: int, kept: str) -> None:
    assert anniversary(date.fromisoformat(day), year) == date.fromisoformat(kept)


@given(st.dates(), st.integers(1, 9999))
def test_every_day_is_kept_once_in_every_year(day: date, year: int) -> None:
    kept = anniversary(day, year)
    assert (kept.year, kept.month) == (year, day.month)
    assert kept.day == day.day or ((day.month, day.day) == (2, 29) and kept.day == 28)


# Punctuality


@pytest.mark.parametrize(
    ("late", "counts_as_due"),
    [
        (timedelta(0), True),
        (timedelta(seconds=59, microseconds=999_999), True),
        (timedelta(minutes=1), False),
        (timedelta(days=2), False),
        (timedelta(microseconds=-1), False),
    ],
)
def test_what_comes_less_than_a_minute_late_counts_as_on_time(late: timedelta, counts_as_due: bool) -> None:
    due = berlin("2026-05-04T09:00")
    assert punctual(due, due + late) == (due if counts_as_due else due + late)
