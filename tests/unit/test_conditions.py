"""Conditions in words and in answers."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter, ValidationError

from journeys.conditions import Condition, leaves, spans_time
from journeys.saying import holds, say
from tests.unit.maps import CONDITIONS, LEAVES, Map

READ: TypeAdapter[Any] = TypeAdapter(Condition)


def condition(data: Map) -> Any:
    return READ.validate_python(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"score": {"at_least": 40}}, "score at least 40"),
        ({"score": {"at_least": 40, "below": 80}}, "score at least 40 and below 80"),
        ({"stage": ["new", "nurturing"]}, "stage is new or nurturing"),
        ({"country": "CN"}, "country is CN"),
        ({"tag": "tea lover"}, 'tagged "tea lover"'),
        ({"consent": "sms"}, "consents to sms"),
        ({"field": {"name": "plan", "is": ["home", "team"]}}, "plan is home or team"),
        ({"field": {"name": "value", "at_least": 1000000.5}}, "value at least 1000000.5"),
        ({"field": {"name": "renewal_date", "before": "2026-03-01"}}, "renewal_date before 2026-03-01"),
        ({"field": {"name": "company", "exists": False}}, "company is unknown"),
        ({"event": {"name": "order.placed", "at_least": 2}}, "order.placed at least 2 times"),
        ({"event": {"name": "order.placed", "within": "30d"}}, "order.placed within 30 days"),
        ({"event": {"name": "t", "at_most": 1, "with": {"outcome": "won"}}}, "t at most 1 time with outcome is won"),
        ({"touched": {"message": "email/welcome", "status": "skipped"}}, "email/welcome skipped"),
        ({"opened": "email/welcome"}, "opened email/welcome"),
        ({"lifecycle": ["at_risk", "churned"]}, "lifecycle is at_risk or churned"),
        ({"value": {"orders": {"at_least": 2}, "lifetime_value": {"below": 99.5}}},
         "number of orders at least 2, worth of orders below 99.5"),
        ({"value": {"days_since_order": {"at_least": 30, "below": 60}, "m": {"at_least": 4}}},
         "days since the last order at least 30 and below 60, monetary quintile at least 4"),
        ({"not": {"any": [{"tag": "a"}, {"all": [{"tag": "b"}, {"tag": "c"}]}]}},
         "not (tagged a or (tagged b and tagged c))"),
    ],
)  # fmt: skip
def test_a_condition_says_what_it_means(data: Map, words: str) -> None:
    assert say(condition(data)) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tag": "a or b"}, {"tag": ["a", "b"]}),
        ({"field": {"name": "n", "is": 1}}, {"field": {"name": "n", "is": "1"}}),
        ({"field": {"name": "n", "is": True}}, {"field": {"name": "n", "is": "true"}}),
        ({"field": {"name": "n", "at_least": 1000000}}, {"field": {"name": "n", "at_least": 1000001}}),
        ({"field": {"name": "n", "is": "x and below 5"}}, {"field": {"name": "n", "is": "x", "below": 5}}),
        ({"event": {"name": "e", "with": {"a": "1, b 2"}}}, {"event": {"name": "e", "with": {"a": 1, "b": 2}}}),
    ],
)
def test_conditions_that_differ_never_say_the_same(one: Map, other: Map) -> None:
    assert say(condition(one)) != say(condition(other))


@settings(deadline=None)
@given(LEAVES, LEAVES)
def test_what_says_the_same_is_the_same(one: Map, other: Map) -> None:
    first, second = condition(one), condition(other)
    assert (say(first) == say(second)) == (first == second)


@settings(deadline=None)
@given(CONDITIONS)
def test_a_condition_holds_as_logic_has_it_for_every_answer_of_its_leaves(data: Map) -> None:
    whole = condition(data)
    words = list(dict.fromkeys(say(leaf) for leaf in leaves(whole)))
    for answers in list(product([True, False], repeat=len(words)))[:32]:
        seen = dict(zip(words, answers, strict=True))
        assert holds(whole, seen) is expected(data, seen)


def expected(data: Map, seen: dict[str, bool]) -> bool:
    """The meaning of a condition, worked out from its data alone."""
    ((kind, value),) = data.items()
    if kind == "not":
        return not expected(value, seen)
    if kind in ("all", "any"):
        answers = [expected(part, seen) for part in value]
        return all(answers) if kind == "all" else any(answers)
    return seen[say(condition(data))]


@settings(deadline=None)
@given(CONDITIONS)
def test_a_condition_survives_being_written_down(data: Map) -> None:
    once = condition(data)
    assert READ.validate_python(READ.dump_python(once, by_alias=True, exclude_none=True)) == once


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"all": []},
        {"score": {}},
        {"score": {"at_least": "40"}},
        {"score": {"at_least": True}},
        {"field": {"name": "plan"}},
        {"field": {"name": "Plan", "is": "x"}},
        {"field": {"name": "d", "after": 1700000000}},
        {"field": {"name": "d", "after": "2026-01-01T10:00:00Z"}},
        {"event": {"name": "e", "at_least": 0}},
        {"event": {"name": "e", "within": "0d"}},
        {"country": "cn"},
        {"opened": "welcome"},
        {"tag": ""},
        {"tag": "x", "stage": "y"},
        {"lifecycle": []},
        {"value": {}},
        {"value": {"orders": {}}},
        {"value": {"orders": {"at_least": 5, "below": 2}}},
        {"value": {"orders": {"at_least": "2"}}},
        {"value": {"r": {"at_least": 6}}},
        {"value": {"r": {"below": 1}}},
        {"value": {"f": {"at_least": 0.5}}},
        {"value": {"m": {"below": 6}}},
        {"value": {"orders": {"at_least": -1}}},
        {"value": {"revenue": {"below": 0}}},
        {"value": {"days_since_order": {"below": -3}}},
        {"value": {"lifetime_value": {"at_least": float("nan")}}},
        {"value": {"revenue": {"at_least": float("inf")}}},
        {"field": {"name": "seats", "at_least": float("nan")}},
        {"event": {"name": "e", "with": {"value": {"below": float("-inf")}}}},
    ],
)
def test_a_condition_that_means_nothing_is_refused(data: Map) -> None:
    with pytest.raises(ValidationError):
        condition(data)


@pytest.mark.parametrize(
    ("data", "does"),
    [
        ({"event": {"name": "order.placed", "within": "30d"}}, True),
        ({"any": [{"tag": "a"}, {"not": {"touched": {"message": "email/welcome", "within": "1d"}}}]}, True),
        ({"value": {"orders": {"at_least": 2}, "days_since_order": {"below": 9}}}, True),
        ({"value": {"orders": {"at_least": 2}}}, False),
        ({"all": [{"event": {"name": "order.placed"}}, {"segment": "vip"}]}, False),
    ],
)
def test_a_condition_says_whether_time_alone_may_change_its_answer(data: Map, does: bool) -> None:
    assert spans_time(condition(data)) is does
