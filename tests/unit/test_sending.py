"""When a message may go: windows, quiet hours and caps, by the clock of the contact, in every time zone there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from journeys.sending import (
    HORIZON,
    WEEKDAYS,
    Cap,
    Hours,
    QuietHours,
    SendingRules,
    Window,
    cap_frees,
    cap_since,
    next_open,
    read_weekdays,
)
from journeys.source import InvalidFile, Source
from journeys.timing import Duration

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
ODD_ZONES = [
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Chatham",  # UTC+12:45, at 02:45
    "Antarctica/Troll",  # two hours
    "Pacific/Apia",  # a day that never was
    "Africa/Casablanca",  # back for Ramadan
    "America/Havana",  # at midnight
    "America/Sao_Paulo",  # from midnight back to 23:00
    "America/Nuuk",  # the evening before
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Europe/Berlin",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
# hypothesis takes naive bounds
instants = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
clocks = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
several_days = st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)


@st.composite
def hours(draw: st.DrawFn) -> dict[str, Any]:
    days = {"days": draw(several_days)}
    if draw(st.integers(0, 5)) == 0:
        return days
    start, end = draw(st.lists(clocks, min_size=2, max_size=2, unique=True))
    times = {"from": start, "to": "24:00" if end == "00:00" else end}
    return {**days, **times} if draw(st.booleans()) else times


windows = st.none() | hours().map(Window.model_validate)
quiets = st.lists(hours().map(QuietHours.model_validate), max_size=2)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def window(days: Any = None, **times: Any) -> Window:
    named = {"days": days} | {key.rstrip("_"): value for key, value in times.items()}
    return Window.model_validate({key: value for key, value in named.items() if value is not None})


def quiet(days: Any = None, **times: Any) -> list[QuietHours]:
    return [QuietHours.model_validate(window(days, **times).model_dump(by_alias=True, exclude={"spread"}))]


# The slow way, written apart from the program: every day's stretch on the calendar, and every minute in its turn


def lies_within(one: Hours, local: datetime) -> bool:
    for day in (local.date() - DAY, local.date()):
        if WEEKDAYS[day.weekday()] in one.days:
            begins = datetime.combine(day, time.fromisoformat(one.from_ or "00:00"))
            last = one.to or "24:00"
            ends = datetime.combine(day + DAY, time()) if last == "24:00" else at(day, last)
            if begins <= local < (ends if ends > begins else ends + DAY):
                return True
    return False


def at(day: date, wall: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(wall))


def allowed(instant: datetime, zone: tzinfo, open_: Window | None, closed: Sequence[QuietHours]) -> bool:
    local = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    return (open_ is None or lies_within(open_, local)) and not any(lies_within(one, local) for one in closed)


def minutes_from(now: datetime) -> Iterator[datetime]:
    yield now
    minute = now.replace(second=0, microsecond=0)
    while True:
        minute += MINUTE
        yield minute


@cache
def changes(name: str) -> list[datetime]:
    """The days (their beginning in UTC) on which the zone's clocks change, from 2008 on."""
    zone, day, found = ZoneInfo(name), datetime(2008, 1, 1, tzinfo=UTC), []
    while day.year < 2032:
        if day.astimezone(zone).utcoffset() != (day + DAY).astimezone(zone).utcoffset():
            found.append(day)
        day += DAY
    return found or [datetime(2026, 3, 29, tzinfo=UTC)]


@st.composite
def around_changes(draw: st.DrawFn) -> tuple[datetime, ZoneInfo]:
    name = draw(st.sampled_from(ODD_ZONES))
    day = draw(st.sampled_from(changes(name)))
    return day + timedelta(minutes=draw(st.integers(-1440, 2880)), seconds=draw(st.integers(0, 59))), ZoneInfo(name)


@settings(max_examples=150, deadline=None)
@given(around_changes(), windows, quiets)
def test_the_next_opening_is_the_first_minute_that_is_open_however_clocks_change(
    where: tuple[datetime, ZoneInfo], open_: Window | None, closed: list[QuietHours]
) -> None:
    now, zone = where
    found = next_open(now, zone, open_, closed)
    for minute in minutes_from(now):
        if minute - now > timedelta(days=3):
            assert found is None or found >= minute
            break
        if allowed(minute, zone, open_, closed):
            assert found == minute
            break


@settings(max_examples=300, deadline=None)
@given(instants, zones, windows, quiets)
def test_the_next_opening_is_open_and_nothing_before_it_is_in_every_zone(
    now: datetime, zone: ZoneInfo, open_: Window | None, closed: list[QuietHours]
) -> None:
    found = next_open(now, zone, open_, closed)
    assert found is None or (found.tzinfo is UTC and now <= found <= now + HORIZON)
    assert found is None or allowed(found, zone, open_, closed)
    until = found or now + HORIZON
    before = [now + (until - now) * part / 200 for part in range(200)]
    before.append(until - timedelta(microseconds=1))
    # Of less than 200 microseconds a part may be rounded up to the whole.
    assert not any(allowed(one, zone, open_, closed) for one in before if now <= one < until)


@given(instants, zones)
def test_without_any_rule_a_message_may_go_now(now: datetime, zone: ZoneInfo) -> None:
    assert next_open(now, zone, None, []) == now


@given(instants, zones, windows, quiets)
def test_an_opening_is_its_own_next_opening(
    now: datetime, zone: ZoneInfo, open_: Window | None, closed: list[QuietHours]
) -> None:
    found = next_open(now, zone, open_, closed)
    assert found is None or next_open(found, zone, open_, closed) == found


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), hours())  # noqa: DTZ001
def test_a_window_holds_the_wall_times_of_its_days(local: datetime, given_: dict[str, Any]) -> None:
    one = Hours.model_validate(given_)
    assert one.holds(local) == lies_within(one, local)


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-03-27T08:59:59.999999", "2026-03-27T09:00"),
        ("2026-03-27T09:00", "2026-03-27T09:00"),  # includes its start
        ("2026-03-27T17:59:59.999999", "2026-03-27T17:59:59.999999"),
        ("2026-03-27T18:00", "2026-03-30T09:00"),  # excludes its end; Friday to Monday, over the change of clocks
        ("2026-03-28T12:00", "2026-03-30T09:00"),
    ],
)
def test_a_window_includes_its_start_and_excludes_its_end(now: str, opening: str) -> None:
    assert next_open(berlin(now), BERLIN, window("mon-fri", from_="09:00", to="18:00"), []) == berlin(opening)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    friday_night = window("fri", from_="22:00", to="02:00")
    assert next_open(berlin("2026-03-28T01:59"), BERLIN, friday_night, []) == berlin("2026-03-28T01:59")
    assert next_open(berlin("2026-03-27T01:00"), BERLIN, friday_night, []) == berlin("2026-03-27T22:00")
    assert next_open(berlin("2026-03-28T02:00"), BERLIN, friday_night, []) == berlin("2026-04-03T22:00")


def test_a_window_to_24_00_ends_at_midnight() -> None:
    evening = window("sat", from_="20:00", to="24:00")
    assert next_open(berlin("2026-03-28T23:59"), BERLIN, evening, []) == berlin("2026-03-28T23:59")
    assert next_open(berlin("2026-03-29T00:00"), BERLIN, evening, []) == berlin("2026-04-04T20:00")


def test_from_00_00_to_24_00_is_the_whole_day() -> None:
    sunday = window("sun", from_="00:00", to="24:00")
    assert next_open(berlin("2026-03-28T12:00"), BERLIN, sunday, []) == berlin("2026-03-29T00:00")


def test_a_window_that_opens_in_the_gap_opens_when_the_gap_ends() -> None:
    night = window(from_="02:30", to="04:00")
    assert next_open(berlin("2026-03-29T01:00"), BERLIN, night, []) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_window_that_lies_in_the_gap_as_a_whole_does_not_open_on_that_day() -> None:
    night = window(from_="02:10", to="02:50")
    assert next_open(berlin("2026-03-29T01:00"), BERLIN, night, []) == berlin("2026-03-30T02:10")


def test_a_window_in_the_hour_that_comes_twice_is_open_twice() -> None:
    night = window(from_="02:10", to="02:50")
    between = datetime(2026, 10, 25, 0, 55, tzinfo=UTC)  # 02:55 for the first time
    assert next_open(between, BERLIN, night, []) == datetime(2026, 10, 25, 1, 10, tzinfo=UTC)


def test_quiet_hours_hold_back_until_they_end() -> None:
    night = quiet(from_="21:00", to="08:00")
    assert next_open(berlin("2026-03-28T21:00"), BERLIN, None, night) == berlin("2026-03-29T08:00")
    assert next_open(berlin("2026-03-28T20:59"), BERLIN, None, night) == berlin("2026-03-28T20:59")


def test_quiet_hours_stand_before_a_window() -> None:
    assert next_open(
        berlin("2026-03-26T07:30"),
        BERLIN,
        window("mon-fri", from_="07:00", to="20:00"),
        quiet(from_="21:00", to="08:00"),
    ) == berlin("2026-03-26T08:00")


def test_where_everything_is_quiet_there_is_no_opening() -> None:
    assert next_open(berlin("2026-03-26T07:30"), BERLIN, None, quiet("mon-sun")) is None
    assert next_open(berlin("2026-03-26T07:30"), BERLIN, window("sat"), quiet("sat-sun")) is None


def test_who_moved_is_judged_by_the_clock_of_the_new_place() -> None:
    day = window(from_="09:00", to="18:00")
    opening = next_open(berlin("2026-05-04T20:00"), BERLIN, day, [])
    assert opening == berlin("2026-05-05T09:00")
    tokyo, honolulu = ZoneInfo("Asia/Tokyo"), ZoneInfo("Pacific/Honolulu")
    assert next_open(opening, tokyo, day, []) == opening  # 16:00 there
    assert next_open(opening, honolulu, day, []) == datetime(2026, 5, 5, 19, tzinfo=UTC)  # 21:00 there: 09:00 next


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        next_open(datetime(2026, 1, 1), BERLIN, None, [])  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        cap_since(datetime(2026, 1, 1), cap("1d"), BERLIN)  # noqa: DTZ001


# Caps


def cap(per: str, count: int = 1) -> Cap:
    return Cap.model_validate({"count": count, "per": per})


lengths = st.sampled_from(["30m", "6h", "1d", "3d", "1w", "2w", "1mo", "2mo", "6mo", "1y"])


@settings(max_examples=400, deadline=None)
@given(instants, zones, lengths, st.timedeltas(timedelta(days=-4), timedelta(days=4)))
def test_a_message_counts_exactly_as_long_as_it_is_not_free_again(
    now: datetime, zone: ZoneInfo, per: str, off: timedelta
) -> None:
    since = cap_since(now, cap(per), zone)
    assert since < now
    assert cap_frees(since, cap(per), zone) <= now
    for sent in (since + abs(off), since + timedelta(microseconds=1)):
        assert sent == since or cap_frees(sent, cap(per), zone) > now


@settings(max_examples=400, deadline=None)
@given(instants, zones, lengths)
def test_when_a_message_is_free_again_it_counts_no_more(sent: datetime, zone: ZoneInfo, per: str) -> None:
    free = cap_frees(sent, cap(per), zone)
    assert free > sent
    assert sent <= cap_since(free, cap(per), zone)


@settings(max_examples=60, deadline=None)
@given(around_changes(), st.sampled_from(["1d", "1w", "1mo"]))
def test_the_same_holds_around_a_change_of_clocks(where: tuple[datetime, ZoneInfo], per: str) -> None:
    sent, zone = where
    free = cap_frees(sent, cap(per), zone)
    assert sent <= cap_since(free, cap(per), zone)
    assert cap_frees(cap_since(sent, cap(per), zone), cap(per), zone) <= sent


@given(instants, zones, st.integers(1, 500))
def test_a_cap_in_hours_slides_by_elapsed_time(now: datetime, zone: ZoneInfo, count: int) -> None:
    assert cap_since(now, cap(f"{count}h"), zone) == now - timedelta(hours=count)


@pytest.mark.parametrize(
    ("per", "now", "since"),
    [
        ("1d", "2026-05-04T10:00", "2026-05-03T10:00"),
        ("1w", "2026-03-30T09:00", "2026-03-23T09:00"),  # the same wall time, an hour less
        ("1mo", "2026-02-28T09:00", "2026-01-31T09:00"),
        ("1mo", "2026-03-31T09:00", "2026-02-28T23:59:59.999999"),
        ("1y", "2025-02-28T09:00", "2024-02-29T09:00"),
    ],
)
def test_a_cap_in_days_and_months_slides_by_the_calendar(per: str, now: str, since: str) -> None:
    assert cap_since(berlin(now), cap(per), BERLIN) == berlin(since)


# The file


def rules(text: str) -> SendingRules:
    return Source.parse(text, "definitions/sending.yaml").to(SendingRules)


FILE = """
channels:
  email:
    consent: opt_out
    quiet_hours: {from: "22:00", to: "07:00"}
  sms:
    quiet_hours:
      - {from: 20:00, to: 09:00}
      - {days: sun}
    at_most: [{count: 1, per: 1d}, {count: 4, per: 1mo}]
    most_segments: 2
    countries:
      FR: {quiet_hours: [{days: sat-sun}, {from: 22:00, to: 08:00}]}
      SG: {quiet_hours: []}
at_most: {count: 5, per: 1w}
spread: 2h
"""


def test_without_a_file_marketing_needs_a_yes_and_nothing_is_quiet_or_capped() -> None:
    nothing = SendingRules()
    for channel in ("email", "sms"):
        assert nothing.consent_rule(channel) == "opt_in"
        assert nothing.quiet_hours(channel, "FR") == ()
        assert nothing.caps(channel) == ()
    assert nothing.spread is None


def test_a_file_states_the_rules_of_each_channel() -> None:
    found = rules(FILE)
    assert found.consent_rule("email") == "opt_out"
    assert found.consent_rule("sms") == "opt_in"
    assert found.channels["sms"].most_segments == 2
    assert found.spread == Duration(2, "h")


def test_a_channel_that_the_file_does_not_name_has_no_rule() -> None:
    assert rules("channels: {email: {consent: opt_in}}").consent_rule("sms") is None
    assert rules("spread: 1h").consent_rule("email") is None


def test_a_countrys_quiet_hours_replace_those_of_the_channel() -> None:
    found = rules(FILE)
    assert [one.words() for one in found.quiet_hours("sms", "DE")] == ["every day from 20:00 to 09:00", "sun"]
    assert found.quiet_hours("sms", None) == found.quiet_hours("sms", "DE")
    assert [one.words() for one in found.quiet_hours("sms", "FR")] == ["sat, sun", "every day from 22:00 to 08:00"]
    assert found.quiet_hours("sms", "SG") == ()
    assert found.quiet_hours("fax", "FR") == ()


def test_a_message_comes_under_the_caps_of_its_channel_and_those_over_all() -> None:
    found = rules(FILE)
    assert found.caps("sms") == (("sms", cap("1d")), ("sms", cap("1mo", 4)), (None, cap("1w", 5)))
    assert found.caps("email") == ((None, cap("1w", 5)),)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("at_most: {count: 0, per: 1d}", "1:11", "at least 1"),
        ("at_most: {count: 1, per: 1 day}", "1:21", "is not a duration"),
        ("at_most: {count: 1}", "1:10", "per: is missing"),
        ("channels: {fax: {}}", "1:17", "allowed: email, sms"),
        ("channels: {email: {consent: opt-in}}", "1:20", "did you mean 'opt_in'"),
        ("channels: {email: {most_segments: 1}}", "1:1", "belongs under sms"),
        ("channels: {sms: {countries: {fr: {quiet_hours: []}}}}", "1:34", "two capital letters"),
        ("channels: {sms: {quiet_hours: {from: 21:00}}}", "1:31", "from and to go together"),
        ("channels: {sms: {quiet_hours: {}}}", "1:31", "needs days, or from and to"),
        ("channels: {sms: {quiet_hours: {from: 21:00, to: 21:00}}}", "1:31", "both 21:00"),
        ("channels: {sms: {quiet_hours: {from: 24:00, to: 08:00}}}", "1:31", "write 00:00"),
        ("channels: {sms: {quiet_hours: {from: 9, to: 12:00}}}", "1:32", "is not a time of day"),
        ("channels: {sms: {quiet_hours: {days: monday}}}", "1:32", "'monday' is no weekday"),
        ("channels: {sms: {quiet_hours: {days: []}}}", "1:32", "names no weekday"),
        ("channels: {sms: {quiet_hours: {days: mon-tue-wed}}}", "1:32", "is no weekday"),
        ("channels: {sms: {quiet_hours: {days: sun, spread: 1h}}}", "1:43", "'spread' is not known here"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_place(text: str, place: str, what: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        rules(text)
    said = str(caught.value)
    assert what in said
    assert f":{place}:" in said


def test_a_herd_cannot_be_spread_over_more_than_its_window() -> None:
    assert window(from_="09:00", to="11:00", spread="2h").spread == Duration(2, "h")
    assert window(from_="22:00", to="02:00", spread="4h").spread == Duration(4, "h")
    assert window("sat", spread="1d").spread == Duration(1, "d")
    with pytest.raises(ValidationError, match="longer than the window"):
        window(from_="09:00", to="11:00", spread="121m")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sat", ("sat",)),
        ("mon-fri", ("mon", "tue", "wed", "thu", "fri")),
        ("sat - mon", ("mon", "sat", "sun")),
        (["wed-fri", "mon", "thu"], ("mon", "wed", "thu", "fri")),
        ("mon-mon", ("mon",)),
    ],
)
def test_days_are_named_one_by_one_or_as_ranges(written: object, meant: tuple[str, ...]) -> None:
    assert read_weekdays(written) == meant


@given(hours())
def test_a_window_reads_back_what_it_writes(given_: dict[str, Any]) -> None:
    one = Window.model_validate(given_)
    assert Window.model_validate_json(one.model_dump_json(by_alias=True)) == one


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(st.recursive(plain, st.lists))
def test_nothing_that_a_file_can_hold_makes_a_window_fail_without_words(found: object) -> None:
    for key in ("days", "from", "to", "spread"):
        with suppress(ValidationError):
            Window.model_validate({"from": "09:00", "to": "18:00", key: found})
