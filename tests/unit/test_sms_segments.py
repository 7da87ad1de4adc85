"""Counting the segments of a text message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.channels.segments import Segments, segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments("GSM-7", 0, 1)),
        ("a" * 160, Segments("GSM-7", 160, 1)),
        ("a" * 161, Segments("GSM-7", 161, 2)),
        ("a" * 306, Segments("GSM-7", 306, 2)),
        ("a" * 307, Segments("GSM-7", 307, 3)),
        ("€" * 80, Segments("GSM-7", 160, 1)),
        ("€" * 81, Segments("GSM-7", 162, 2)),
        ("Ünïcode", Segments("UCS-2", 7, 1)),
        ("您" * 70, Segments("UCS-2", 70, 1)),
        ("您" * 71, Segments("UCS-2", 71, 2)),
        ("您" * 134, Segments("UCS-2", 134, 2)),
        ("您" * 135, Segments("UCS-2", 135, 3)),
        ("👋" * 35, Segments("UCS-2", 70, 1)),
        ("👋" * 36, Segments("UCS-2", 72, 2)),
    ],
)
def test_a_text_is_counted_as_the_network_counts_it(text: str, expected: Segments) -> None:
    assert segments(text) == expected


def test_an_escaped_character_is_not_torn_between_segments() -> None:
    assert segments("a" * 152 + "€" + "a" * 152).count == 3


def test_an_emoji_is_not_torn_between_segments() -> None:
    assert segments("您" * 66 + "👋" + "您" * 66).count == 3


@given(st.text(max_size=1000))
def test_segments_hold_all_units_and_none_is_needless(text: str) -> None:
    counted = segments(text)
    single, part = (160, 153) if counted.encoding == "GSM-7" else (70, 67)
    if counted.units <= single:
        assert counted.count == 1
    else:
        # A torn character wastes at most one unit of each segment.
        assert counted.units <= counted.count * part
        assert counted.units > (counted.count - 1) * (part - 1)
