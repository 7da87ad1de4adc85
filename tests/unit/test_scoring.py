"""The arithmetic of scores, and what a file of rules may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.fields import Field, load_fields
from journeys.scoring import (
    MILLION,
    MOST,
    Scoring,
    capped,
    contribution,
    days,
    engagement,
    load,
    parse,
    whole,
)
from journeys.source import InvalidFile

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
GRADES = {"fit": {"A": 30, "B": 20, "C": 10}, "activity": {"1": 60, "2": 30, "3": 10}}
POINTS = st.integers(-10_000, 10_000).filter(bool)
AGES = st.floats(0, 40 * 365 * 86_400)
HALF_LIVES = st.sampled_from([1 / 1440, 1 / 24, 1.0, 14.0, 30.4375, 365.25, 3652.5])


def rules(**parts: Any) -> Scoring:
    return Scoring.model_validate({"half_life": "30d", "grades": GRADES, **parts})


@given(POINTS, AGES, HALF_LIVES)
def test_what_an_event_brings_halves_with_every_half_life(points: int, age: float, half_life: float) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = points * MILLION * Decimal("0.5") ** (Decimal(age) / Decimal(half_life * 86_400))
    assert abs(contribution(points, age, half_life) - exact) <= Decimal("0.51")


@given(POINTS, AGES)
def test_what_never_fades_counts_in_full(points: int, age: float) -> None:
    assert contribution(points, age, None) == points * MILLION


@pytest.mark.parametrize(("half_lives", "left"), [(0, 10), (1, 5), (2, 2.5), (3, 1.25), (100, 0)])
def test_ten_points_fade(half_lives: int, left: float) -> None:
    assert contribution(10, half_lives * 30 * 86_400.0, 30.0) == left * MILLION


def test_a_moment_to_come_counts_as_now() -> None:
    assert contribution(-7, -5.0, 1.0) == -7 * MILLION


@given(st.integers(-(10**18), 10**18))
def test_points_are_rounded_once_half_away_from_zero(total: int) -> None:
    bounded = max(Decimal(-MOST), min(Decimal(MOST), Decimal(total) / MILLION))
    assert whole(total) == int(bounded.quantize(Decimal(1), rounding="ROUND_HALF_UP"))
    assert whole(-total) == -whole(total)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**5) | st.none())
def test_a_cap_bounds_up_and_down(total: int, cap: int | None) -> None:
    found = capped(total, cap)
    assert found == total if cap is None or abs(total) <= cap * MILLION else abs(found) == cap * MILLION
    assert found * total >= 0


EVENTS = st.lists(st.tuples(st.sampled_from(["opened", "clicked"]), st.integers(0, 400)), max_size=30)


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_events_come_in_does_not_matter(happened: list[tuple[str, int]], chance: Any) -> None:
    wanted = rules(engagement=[
        {"name": "opened", "on": "email.opened", "points": 3, "cap": 10},
        {"name": "clicked", "on": "email.clicked", "points": -2, "half_life": "never"},
    ])  # fmt: skip
    at = [(name, NOW - timedelta(days=ago)) for name, ago in happened]
    once = engagement(wanted, at, NOW)
    chance.shuffle(at)
    assert engagement(wanted, at, NOW) == once
    assert once["clicked"] == -2 * MILLION * sum(name == "clicked" for name, _ in happened)
    assert 0 <= once["opened"] <= 10 * MILLION


def test_a_rule_without_a_half_life_has_that_of_all() -> None:
    found = rules(engagement=[{"name": "a", "on": "x", "points": 1}, {"name": "b", "on": "x", "points": 1,
                                                                      "half_life": "never"}])  # fmt: skip
    assert [found.half_life_of(one) for one in found.engagement] == [30, None]
    assert rules().half_life_of_journeys is None
    assert rules(journeys={"half_life": "2w"}).half_life_of_journeys == 14
    assert days("never") is None


@pytest.mark.parametrize(
    ("fit", "activity", "grade"),
    [(30, 60, "A1"), (29, 59, "B2"), (20, 30, "B2"), (10, 10, "C3"), (9, 9, "D4"), (-50, -50, "D4"), (99, 0, "A4")],
)
def test_a_grade_is_a_letter_for_fit_and_a_figure_for_activity(fit: int, activity: int, grade: str) -> None:
    assert rules().grades.of(fit, activity) == grade


def test_the_shipped_rules_are_read_and_read_back_as_the_same() -> None:
    loaded = load(ROOT / "definitions" / "scoring.yaml", load_fields(ROOT / "definitions" / "fields.yaml"), [])
    assert Scoring.model_validate(loaded.definition) == loaded.rules
    assert loaded.rules.half_life_of_journeys is None


def test_a_comment_makes_no_other_rules() -> None:
    text = "half_life: 30d\ngrades: {fit: {A: 3, B: 2, C: 1}, activity: {1: 3, 2: 2, 3: 1}}\n"
    assert parse(text).digest == parse("# why\n" + text).digest != parse(text.replace("30d", "31d")).digest


TAIL = "grades: {fit: {A: 3, B: 2, C: 1}, activity: {1: 3, 2: 2, 3: 1}}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("grades: {}\n", "scoring.yaml:1:1: half_life: is missing"),
        ("half_life: soon\n" + TAIL, "1:1: 'soon' is not a duration"),
        ("half_life: 30d\ngrades: {fit: {A: 1, B: 2, C: 3}, activity: {1: 3, 2: 2, 3: 1}}\n",
         "2:10: A needs more points than B"),
        ("half_life: 30d\nfit: [{name: a, when: {tag: x}, points: 0}]\n" + TAIL, "0 points change nothing"),
        ("half_life: 30d\nfit: [{name: a, when: {score: {below: 3}}, points: 1}]\n" + TAIL,
         "2:17: asks for the score, which is made of it"),
        ("half_life: 30d\nfit: [{name: a, when: {not: {any: [{score: {below: 3}}]}}, points: 1}]\n" + TAIL,
         "asks for the score"),
        ("half_life: 30d\nfit:\n  - {name: a, when: {tag: x}, points: 1}\n  - {name: a, when: {tag: y}, points: 1}\n"
         + TAIL, "4:6: the rule a stands twice"),
        ("half_life: 30d\nfit: [{name: a, when: {field: {name: plam, is: x}}, points: 1}]\n" + TAIL,
         "did you mean 'plan'"),
        ("half_life: 30d\nfit: [{name: a, when: {field: {name: due, below: 3}}, points: 1}]\n" + TAIL,
         "due holds a day: no value of it is a number"),
        ("half_life: 30d\nengagement: [{name: a, on: x, points: 1, caps: 3}]\n" + TAIL, "did you mean 'cap'"),
        ("half_life: 30d\nengagement: [{name: a, on: x, points: 1.5}]\n" + TAIL, "1.5 stands where a whole number"),
        ("half_life: 30d\nengagement: [{name: a, on: x, points: 1, cap: 0}]\n" + TAIL, "0 is too small"),
    ],
)  # fmt: skip
def test_rules_that_mean_nothing_are_refused_at_their_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(text, fields={"plan": Field("plan", "text", "Plan"), "due": Field("due", "date", "Due")})
    assert problem in str(refused.value)
