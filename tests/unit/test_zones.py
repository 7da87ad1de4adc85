"""Which time zone a contact lives in."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.zones import only_zone, zone_of


@pytest.mark.parametrize(
    ("time_zone", "country", "zone"),
    [
        ("Asia/Tokyo", "DE", "Asia/Tokyo"),  # their own word comes first
        (None, "SG", "Asia/Singapore"),
        (None, "US", "Europe/Paris"),  # a country of many zones says nothing
        (None, "XX", "Europe/Paris"),
        ("Mars/Olympus", "SG", "Asia/Singapore"),
        ("", None, "Europe/Paris"),
    ],
)
def test_a_contact_lives_where_it_says_or_where_its_country_has_one_zone_only(
    time_zone: str | None, country: str | None, zone: str
) -> None:
    assert zone_of(time_zone, country, "Europe/Paris") == ZoneInfo(zone)


@pytest.mark.parametrize("word", ["../../etc/passwd", "/etc/localtime", "Europe", "\0", "x" * 300, "Europe/Berlin "])
def test_a_word_that_names_no_zone_stops_nothing(word: str) -> None:
    assert zone_of(word, None, word) == ZoneInfo("UTC")


@given(st.text(max_size=20), st.text(max_size=3))
def test_whatever_stands_in_the_records_there_is_a_zone(time_zone: str, country: str) -> None:
    assert isinstance(zone_of(time_zone, country, "UTC"), ZoneInfo)


def test_every_zone_by_country_exists() -> None:
    known = available_timezones()
    assert {zone for code in ("SG", "FR", "JP", "IN") if (zone := only_zone(code))} <= known
    assert only_zone("FR") == "Europe/Paris"
    assert only_zone("CN") is None  # Shanghai and Urumqi
