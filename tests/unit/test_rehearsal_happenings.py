"""What happens in a rehearsal, read from files as people write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.intake.tabular import UnreadableTable
from workers.rehearsal.happenings import Happenings, read_happenings, read_moment

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
WHO = {"ann": 1, "ann@acme.example": 1, "+4915112345678": 1, "bob": 2}


def read(folder: Path, text: str) -> Happenings:
    path = folder / "events.csv"
    path.write_text(text, encoding="utf-8")
    return read_happenings(path, WHO, START, START + timedelta(days=10))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("+2d3h", timedelta(days=2, hours=3)),
        ("+1w", timedelta(weeks=1)),
        ("+90m", timedelta(minutes=90)),
        ("+1h 30m 5s", timedelta(hours=1, minutes=30, seconds=5)),
        ("-30D", -timedelta(days=30)),
        ("2026-03-02T10:00:00+01:00", timedelta()),
        ("2026-03-02T09:00:00.000001Z", timedelta(microseconds=1)),
    ],
)
def test_a_moment_is_absolute_or_counts_from_the_start(text: str, after: timedelta) -> None:
    assert read_moment(text, START) == START + after


@pytest.mark.parametrize("text", ["", "tomorrow", "+", "+2", "+2mo", "2d", "2026-03-02", "2026-03-02T09:00", "+-2d"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_moment(text, START)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_a_moment(text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert read_moment(text, START).tzinfo is not None


def test_a_contact_is_known_by_each_of_its_names(tmp_path: Path) -> None:
    rows = "".join(f"{who},order.placed,+1h\n" for who in ("ann", "Ann@Acme.example", "+49 151 12345678"))
    assert [one.customer for one in read(tmp_path, "customer,event,at\n" + rows).within] == [1, 1, 1]


def test_columns_that_have_no_meaning_of_their_own_are_properties(tmp_path: Path) -> None:
    (one,) = read(
        tmp_path,
        'customer,event,at,value,plan,seats,trial,properties\nann,order.placed,+1h,9.5,team,3,true,"{""a"": [1]}"\n',
    ).within
    assert one.deed is not None
    assert one.deed.value == 9.5
    assert one.deed.properties == {"plan": "team", "seats": 3, "trial": True, "a": [1]}


def test_rows_are_in_the_order_of_time_and_those_of_one_moment_in_that_of_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, "customer,event,at\nann,c.c,+2h\nbob,b.b,+1h\nann,a.a,+1h\nann,p.p,-1h\n")
    assert [one.line for one in found.within] == [3, 4, 2]
    assert [one.line for one in found.before] == [5]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("eve,order.placed,+1h,", "is none of the contacts"),
        ("ann,Order Placed!,+1h,", "is no event"),
        ("ann,order.placed,soon,", "is no moment"),
        ("ann,order.placed,+11d,", "after the end"),
        ("ann,order.placed,+99999w,", "after the end"),
        ("ann,order.placed,+1h,NaN", "JSON object"),
        ('ann,order.placed,+1h,"{""a"": NaN}"', "JSON object"),
        ("ann,order.placed,+1h,[1]", "JSON object"),
        ("ann,order.placed", "columns"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, row: str, told: str) -> None:
    found = read(tmp_path, f"customer,event,at,properties\n{row}\nann,order.placed,+1h,\n")
    assert len(found.within) == 1
    (reject,) = found.rejects
    assert (reject.file, reject.line) == ("events.csv", 2)
    assert told in reject.reason


@pytest.mark.parametrize("text", ["", "customer,event\n", "customer,event,at,at\n", "ann;order.placed\n"])
def test_a_file_without_the_columns_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableTable):
        read(tmp_path, text)
