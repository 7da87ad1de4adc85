"""Moments and amounts as people and machines write them: read in the one way that is meant, or refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from activities.intake.incoming import read_amount, read_cell
from activities.intake.instants import form_of, read_instant

BERLIN = ZoneInfo("Europe/Berlin")
WHENEVER = some.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 (made aware)
OFFSETS = some.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))


@given(WHENEVER, OFFSETS)
def test_iso_8601_with_an_offset_stands_for_itself(naive: datetime, offset: timezone) -> None:
    moment = naive.replace(tzinfo=offset)
    for text in (moment.isoformat(), moment.isoformat(" "), f"{moment:%Y-%m-%d %H:%M:%S.%f %z}"):
        assert read_instant(text, BERLIN) == moment


@given(WHENEVER)
def test_counts_since_1970_are_told_apart_by_their_digits(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    micro = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read_instant(str(micro // 1_000_000), BERLIN) == moment.replace(microsecond=0)
    assert read_instant(str(micro // 1000), BERLIN) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert read_instant(str(micro), BERLIN) == moment


@given(some.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in (lambda: read_instant(text, BERLIN), lambda: read_amount(text)):
        with suppress(ValueError):
            reader()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-04", "2026-03-03T23:00:00"),
        ("20260304", "2026-03-03T23:00:00"),
        ("2026/3/4 9:30", "2026-03-04T08:30:00"),
        ("2026-07-04 09:30:15.250", "2026-07-04T07:30:15.250000"),
        ("04.03.2026 09:30", "2026-03-04T08:30:00"),
        ("25/12/2026", "2026-12-24T23:00:00"),
        ("12/25/2026 8:26 PM", "2026-12-25T19:26:00"),
        ("12/25/2026 12:00 am", "2026-12-24T23:00:00"),
        ("202603040930", "2026-03-04T08:30:00"),
        ("2026年3月4日 09:30", "2026-03-04T08:30:00"),
        ("Wed, 04 Mar 2026 09:30:00 +0100", "2026-03-04T08:30:00"),
        ("2026-03-04 09:30 UTC", "2026-03-04T09:30:00"),
        ("2026-03-04T24:00", "2026-03-04T23:00:00"),
        ("2026-03-29 02:30", "2026-03-29T01:30:00"),  # skipped by the clocks: as much later
        ("2026-10-25 02:30", "2026-10-25T00:30:00"),  # shown twice: the first
    ],
)
def test_clocks_are_those_of_the_zone(text: str, moment: str) -> None:
    assert read_instant(text, BERLIN).replace(tzinfo=None).isoformat() == moment


def test_what_can_be_read_in_two_ways_is_refused_until_somebody_says_which() -> None:
    with pytest.raises(ValueError, match="two ways"):
        read_instant("03/04/2026", UTC)
    assert read_instant("03/04/2026", UTC, "dmy") == datetime(2026, 4, 3, tzinfo=UTC)
    assert read_instant("03/04/2026", UTC, "mdy") == datetime(2026, 3, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match="no moment that exists"):
        read_instant("25/12/2026", UTC, "mdy")


@pytest.mark.parametrize(
    "text", ["", "45000", "2026-02-30", "2026-13-01", "4.3.26", "10:30", "2026-03-04 25:00", "now"]
)
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no moment|spreadsheets"):
        read_instant(text, UTC)


@given(some.decimals(min_value=0, max_value=Decimal("999999999999.99"), places=2))
def test_an_amount_is_kept_exactly(amount: Decimal) -> None:
    assert read_amount(str(amount)) == read_amount(f"€ {amount}") == read_amount(f"{amount} EUR") == amount
    assert read_amount(f"{amount:,}") == amount
    assert read_amount(f"{amount:,}".translate(str.maketrans(",.", ".,"))) == amount


@pytest.mark.parametrize("cell", ["00123", "1.50", "+49", "1e5", "-0", "0x1", "123456789012345678", "1,5", "Trueish"])
def test_what_would_be_written_otherwise_stays_text(cell: str) -> None:
    assert read_cell(cell) == cell


@given(some.integers(-(10**14), 10**14) | some.floats(-1e6, 1e6).map(lambda number: round(number, 3)))
def test_a_number_in_a_cell_is_a_number_that_reads_the_same(number: float) -> None:
    cell = read_cell(str(number))
    assert str(cell) == str(number)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Dec 1, 2010", "2010-12-01T00:00"),
        ("1 Dec 2010", "2010-12-01T00:00"),
        ("1-Dec-2010 08:26", "2010-12-01T08:26"),
        ("December 1st, 2010, 8:26 PM", "2010-12-01T20:26"),
        ("Sept. 3 2010 8:26:05 UTC", "2010-09-03T08:26"),
    ],
)
def test_days_with_a_month_in_words_are_read(text: str, read: str) -> None:
    assert read_instant(text, UTC).isoformat()[:16] == read


@pytest.mark.parametrize("text", ["Dez 1, 2010", "31 Feb 2010", "1 Decemberish 2010", "Ju 1 2010", "Dec 2010"])
def test_words_that_are_no_month_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no moment"):
        read_instant(text, UTC)


@pytest.mark.parametrize(
    ("days", "form"),
    [
        (["12/1/2010 8:26", "12/13/2010 9:00"], "mdy"),
        (["1/12/2010", "13/12/2010 09:00", "2010-12-01"], "dmy"),
        (["1/12/2010", "2/11/2010"], None),
        (["13/12/2010", "12/13/2010", "1/2/2010"], None),
        (["1/2/2010"] * 20 + ["13/2/2010"], None),
        (["1.2.2010", "13.2.2010", "never", ""], None),
        (["1/1/2010"], None),
    ],
    ids=["mdy", "dmy", "nothing shows it", "both", "too few show it", "dots need none", "the same either way"],
)
def test_a_column_shows_which_number_is_the_day(days: list[str], form: str | None) -> None:
    assert form_of(days) == form
