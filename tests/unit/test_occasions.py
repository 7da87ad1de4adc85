"""When a date of a contact brings it into a journey."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from journeys.occasions import Every, candidate_days, occasions
from journeys.timing import Duration, anniversary, shift

BERLIN = ZoneInfo("Europe/Berlin")
NONE = Duration(0, "d")
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
zones = st.sampled_from([*ZONES, *["Pacific/Kiritimati", "Etc/GMT+12", "Pacific/Apia", "America/Nuuk"] * 20]).map(
    ZoneInfo
)
offsets = st.builds(Duration, st.integers(-60, 60), st.sampled_from(["d", "w"])) | st.builds(
    Duration, st.integers(-24, 24), st.sampled_from(["mo"])
)
walls = st.times().map(lambda wall: wall.replace(second=0, microsecond=0)) | st.sampled_from([time(0), time(23, 59)])
every = st.sampled_from(["once", "year"])
stored = st.dates(date(1930, 1, 1), date(2040, 12, 31)) | st.sampled_from(
    [date(year, month, day) for year in (2000, 2001) for month, day in [(2, 28), (3, 1), (12, 31), (1, 1), (1, 31)]]
    + [date(2000, 2, 29), date(2024, 2, 29), date(2011, 12, 30)]
)
# hypothesis takes naive bounds
instants = st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def fires(day: str, offset: str, every: Every, after: str, until: str, at: str = "09:00") -> list[str]:
    found = occasions(
        date.fromisoformat(day),
        Duration.parse(offset),
        time.fromisoformat(at),
        every,
        BERLIN,
        berlin(after),
        berlin(until),
    )
    return [moment.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M") for moment in found]


@pytest.mark.parametrize(
    ("day", "offset", "moment"),
    [
        ("2026-06-15", "0d", "2026-06-15T09:00"),
        ("2026-06-15", "-30d", "2026-05-16T09:00"),
        ("2026-06-15", "2w", "2026-06-29T09:00"),
        ("2026-03-31", "-1mo", "2026-02-28T09:00"),
        ("2026-01-03", "-7d", "2025-12-27T09:00"),
    ],
)
def test_a_date_fires_once_at_its_wall_time(day: str, offset: str, moment: str) -> None:
    assert fires(day, offset, "once", "2020-01-01", "2030-01-01") == [moment]


def test_a_date_fires_every_year_from_its_own_on() -> None:
    assert fires("2024-06-15", "0d", "year", "2020-01-01", "2027-01-01") == [
        f"{year}-06-15T09:00" for year in (2024, 2025, 2026)
    ]


def test_a_day_before_a_birthday_in_january_lies_in_the_year_before() -> None:
    assert fires("1990-01-03", "-7d", "year", "2025-12-01", "2027-01-31") == ["2025-12-27T09:00", "2026-12-27T09:00"]


def test_a_day_after_a_birthday_in_december_lies_in_the_year_after() -> None:
    assert fires("1990-12-30", "7d", "year", "2025-12-01", "2027-01-31") == ["2026-01-06T09:00", "2027-01-06T09:00"]


def test_the_reminder_of_a_first_renewal_comes_before_it() -> None:
    assert fires("2027-06-15", "-30d", "year", "2020-01-01", "2028-01-01") == ["2027-05-16T09:00"]


def test_29_february_is_kept_on_the_28th_in_other_years() -> None:
    assert fires("2000-02-29", "0d", "year", "2026-01-01", "2029-01-01") == [
        "2026-02-28T09:00",
        "2027-02-28T09:00",
        "2028-02-29T09:00",
    ]


def test_the_stretch_excludes_its_start_and_includes_its_end() -> None:
    assert fires("2026-06-15", "0d", "once", "2026-06-15T09:00", "2026-06-16") == []
    assert fires("2026-06-15", "0d", "once", "2026-06-15T08:59:59.999999", "2026-06-15T09:00") == ["2026-06-15T09:00"]


def test_a_wall_time_that_does_not_exist_fires_when_the_gap_ends() -> None:
    assert fires("2026-03-29", "0d", "once", "2026-03-01", "2026-04-01", at="02:30") == ["2026-03-29T03:00"]


def test_a_wall_time_that_comes_twice_fires_once() -> None:
    assert fires("2026-10-25", "0d", "once", "2026-10-01", "2026-11-01", at="02:30") == ["2026-10-25T02:30"]


@pytest.mark.parametrize(("day", "offset"), [(date.max, "1d"), (date.min, "-1d"), (date.max, "0d"), (date.min, "0d")])
@pytest.mark.parametrize("each", ["once", "year"])
def test_a_day_at_the_end_of_the_calendar_stops_nothing(day: date, offset: str, each: Every) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in ("Etc/GMT+12", "Pacific/Kiritimati"):
        found = occasions(day, Duration.parse(offset), time(0), each, ZoneInfo(zone), now, now + timedelta(days=400))
        assert bool(found) == (day == date.min and each == "year")


@settings(max_examples=200, deadline=None)
@given(stored, offsets, walls, every, zones, instants, st.integers(1, 60 * 24 * 40))
def test_the_candidates_hold_every_day_that_fires_in_every_zone(
    day: date, offset: Duration, at: time, each: Every, zone: ZoneInfo, after: datetime, minutes: int
) -> None:
    # bring the stretch to where something happens
    kept = shift(day if each == "once" else anniversary(day, max(after.year, day.year)), offset)
    after = datetime.combine(kept, after.time(), UTC) - timedelta(days=1)
    until = after + timedelta(minutes=minutes)
    assume(occasions(day, offset, at, each, zone, after, until))
    if each == "once":
        assert day in candidate_days(offset, "once", after, until)
    else:
        assert (day.month, day.day) in candidate_days(offset, "year", after, until)


@given(offsets, instants)
def test_the_candidates_of_a_day_are_few(offset: Duration, after: datetime) -> None:
    assert len(candidate_days(offset, "once", after, after + timedelta(hours=1))) <= 10
    assert len(candidate_days(offset, "year", after, after + timedelta(hours=1))) <= 11


@settings(max_examples=300, deadline=None)
@given(stored, offsets, walls, every, zones, instants, st.lists(st.integers(1, 60 * 24 * 400), min_size=1, max_size=6))
def test_looked_at_piece_by_piece_every_occasion_is_found_once(
    day: date, offset: Duration, at: time, each: Every, zone: ZoneInfo, after: datetime, pieces: list[int]
) -> None:
    bounds = [after]
    for minutes in pieces:
        bounds.append(bounds[-1] + timedelta(minutes=minutes))
    whole = occasions(day, offset, at, each, zone, after, bounds[-1])
    parts = [one for begin, end in pairwise(bounds) for one in occasions(day, offset, at, each, zone, begin, end)]
    assert parts == whole
    assert whole == sorted(set(whole))
    assert all(one.tzinfo is UTC for one in whole)


@given(stored, walls, zones, instants)
def test_every_year_has_one_birthday(day: date, at: time, zone: ZoneInfo, after: datetime) -> None:
    assume(after.year > day.year + 1)
    found = occasions(day, NONE, at, "year", zone, after, after + timedelta(days=365 * 4 + 1))
    between = [later - earlier for earlier, later in pairwise(found)]
    assert len(found) in (3, 4, 5)
    assert all(timedelta(days=363) < one < timedelta(days=368) for one in between)


@pytest.mark.parametrize("each", ["once", "year"])
def test_a_naive_moment_is_refused(each: Every) -> None:
    now, naive = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        occasions(date(2026, 1, 1), NONE, time(9), each, BERLIN, naive, now)
    with pytest.raises(ValueError, match="no time zone"):
        candidate_days(NONE, each, now, naive)
