"""What a cron expression means, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys import crons

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2027, 3, 28, tzinfo=UTC), datetime(2027, 10, 31, tzinfo=UTC)  # the days clocks change
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Shanghai", "America/St_Johns", "Australia/Lord_Howe"])
CRONS = st.sampled_from(["0 9 * * mon", "*/30 * * * *", "15 2 * * *", "0 0 1 * *", "0 9 29 2 *", "30 1-3 * * sun"])
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def first(cron: str, zone: str, after: datetime, count: int = 1) -> list[str]:
    return [f"{moment:%Y-%m-%dT%H:%M}" for moment in islice(crons.times(cron, ZoneInfo(zone), after), count)]


def test_times_are_wall_times_of_the_zone() -> None:
    assert first("0 9 * * mon", "Asia/Shanghai", datetime(2026, 12, 1, tzinfo=UTC), 2) == [
        "2026-12-07T01:00", "2026-12-14T01:00",
    ]  # fmt: skip


def test_day_and_weekday_must_both_hold() -> None:
    assert first("0 9 13 * fri", "UTC", datetime(2026, 12, 1, tzinfo=UTC)) == ["2027-08-13T09:00"]


def test_a_time_that_clocks_skip_moves_to_the_next_that_exists() -> None:
    assert first("30 2 * * *", "Europe/Berlin", SPRING) == ["2027-03-28T01:00"]


def test_a_time_that_comes_twice_means_the_first() -> None:
    assert first("30 2 * * *", "Europe/Berlin", AUTUMN, 2) == ["2027-10-31T00:30", "2027-11-01T01:30"]
    assert crons.repeated("30 2 * * *", BERLIN, AUTUMN + timedelta(hours=1, minutes=30))
    assert not crons.repeated("30 2 * * *", BERLIN, AUTUMN + timedelta(minutes=30))


def test_what_clocks_displace_is_known_beforehand() -> None:
    year = crons.displaced("30 2 * * *", BERLIN, datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    assert year == [SPRING + timedelta(hours=1), AUTUMN + timedelta(minutes=30)]
    assert crons.displaced("0 9 * * *", BERLIN, SPRING - timedelta(days=9), AUTUMN + timedelta(days=9)) == []


@given(CRONS, ZONES, MOMENTS)
def test_times_come_in_order_after_the_moment_asked_for(cron: str, zone: str, after: datetime) -> None:
    found = [after, *islice(crons.times(cron, ZoneInfo(zone), after), 5)]
    assert all(one < other for one, other in pairwise(found))


@given(CRONS, ZONES, MOMENTS)
def test_nothing_is_left_out_between_two_times(cron: str, zone: str, after: datetime) -> None:
    one, other = islice(crons.times(cron, ZoneInfo(zone), after), 2)
    assert next(crons.times(cron, ZoneInfo(zone), other - timedelta(microseconds=1))) == other
    assert next(crons.times(cron, ZoneInfo(zone), one)) == other


@pytest.mark.parametrize(
    "text",
    [
        "", "0 9 * *", "0 9 * * * *", "@daily", "0 9 31 2 *", "60 * * * *", "* 24 * * *", "0 9 0 * *", "0 9 * 13 *",
        "0 9 * * 8", "0 22-2 * * *", "0 9 * * sat-mon", "0 9 L * *", "0 9 * * fri#2", "0 9 ? * *", "*/0 * * * *",
        "0 9 * * mon-", "R * * * *", "0 9 * * ,", "５ 9 * * *",
    ],
)  # fmt: skip
def test_what_not_every_scheduler_reads_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no schedule|never comes|is no |backwards|step"):
        crons.read_cron(text)


def test_an_expression_is_kept_in_one_spelling() -> None:
    assert crons.read_cron(" 0  9 * JAN-mar MON ") == "0 9 * jan-mar mon"


@given(st.text(alphabet="0123456789*-/, monsuJAN#LW?", max_size=24))
def test_any_text_is_read_or_refused_with_words(text: str) -> None:
    try:
        cron = crons.read_cron(text)
    except ValueError:
        return
    assert next(crons.times(cron, BERLIN, SPRING)) > SPRING


@pytest.mark.parametrize("hour", range(24))
def test_what_clocks_show_twice_is_found_at_whatever_hour_it_is_asked_for(hour: int) -> None:
    asked = datetime(2026, 11, 22, hour, 30, tzinfo=UTC)
    found = crons.displaced("15 2 31 10 *", BERLIN, asked, asked + timedelta(days=400))
    assert found == [datetime(2027, 10, 31, 0, 15, tzinfo=UTC)]
