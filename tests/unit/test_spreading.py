"""Choices that look like chance and are the same every time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.spreading import fraction, held_out, pick, spread
from journeys.timing import Duration

NOW = datetime(2026, 3, 28, 9, tzinfo=UTC)
PEOPLE = range(20_000)
parts = st.lists(st.text() | st.integers(), max_size=4)
lengths = st.builds(Duration, st.integers(1, 100), st.sampled_from(["m", "h", "d", "w"]))


@given(parts)
def test_a_fraction_lies_from_0_up_to_1(named: list[object]) -> None:
    assert 0 <= fraction(*named) < 1


def test_a_fraction_is_the_same_on_every_machine_and_in_every_release() -> None:
    assert fraction("welcome", "c-1") == pytest.approx(0.3571170476364, abs=1e-12)
    assert fraction("welcome", 1) == fraction("welcome", "1")


def test_fractions_are_evenly_distributed() -> None:
    tenths = Counter(int(fraction("welcome", person) * 10) for person in PEOPLE)
    assert all(1800 < tenths[tenth] < 2200 for tenth in range(10))


@given(lengths, parts)
def test_a_spread_moment_lies_within_the_length_and_never_at_its_end(over: Duration, named: list[object]) -> None:
    assert NOW <= spread(NOW, over, *named) < NOW + timedelta(days=over.days)


@given(parts)
def test_without_a_length_nothing_is_spread(named: list[object]) -> None:
    assert spread(NOW, None, *named) == NOW


def test_a_spread_day_has_24_hours() -> None:
    assert spread(NOW, Duration(1, "d"), 7) == spread(NOW, Duration(24, "h"), 7)


def test_a_herd_of_50_000_leaves_evenly_over_the_stated_time() -> None:
    minutes = Counter(
        (spread(NOW, Duration(2, "h"), "renewal", one) - NOW) // timedelta(minutes=1) for one in range(50_000)
    )
    assert sorted(minutes) == list(range(120))
    assert max(minutes.values()) < 550  # 417 each on average


def test_each_arm_gets_its_share() -> None:
    arms = Counter(pick({"a": 50, "b": 30, "c": 20}, "welcome", "split", person) for person in PEOPLE)
    assert [round(arms[name] / len(PEOPLE), 2) for name in "abc"] == pytest.approx([0.5, 0.3, 0.2], abs=0.011)


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 10**12), min_size=1), parts)
def test_any_positive_weights_choose_one_of_their_names_and_always_the_same(
    weights: dict[str, int], named: list[object]
) -> None:
    chosen = pick(weights, *named)
    assert chosen in weights
    assert pick({name: weight * 7 for name, weight in weights.items()}, *named) == chosen


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": 1, "b": -1}])
def test_weights_that_choose_nothing_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="weights of at least 1"):
        pick(weights, "c-1")


def test_a_holdout_keeps_out_its_share() -> None:
    assert sum(held_out(0.05, "holdout", "welcome", person) for person in PEOPLE) == pytest.approx(1000, abs=120)


@given(st.floats(0, 1), st.floats(0, 1), parts)
def test_a_larger_holdout_keeps_out_everybody_of_a_smaller_one(one: float, other: float, named: list[object]) -> None:
    small, large = sorted((one, other))
    assert held_out(large, *named) or not held_out(small, *named)


@given(parts)
def test_nobody_is_kept_out_by_none_and_everybody_by_all(named: list[object]) -> None:
    assert not held_out(0.0, *named)
    assert held_out(1.0, *named)


def test_uses_that_are_named_apart_have_nothing_to_do_with_each_other() -> None:
    kept_out = [person for person in PEOPLE if held_out(0.5, "holdout", person)]
    heads = sum(pick({"a": 1, "b": 1}, "split", person) == "a" for person in kept_out)
    assert heads / len(kept_out) == pytest.approx(0.5, abs=0.02)
