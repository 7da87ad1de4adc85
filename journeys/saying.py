"""Conditions in words, for the path a run took, for drawings and for reports; answers are kept by these words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from journeys.conditions import (
    AllOf,
    AnyOf,
    Clicked,
    Condition,
    Consented,
    Country,
    EventTest,
    FieldIs,
    FieldTest,
    Happened,
    InLifecycle,
    InSegment,
    Locale,
    Not,
    Opened,
    PropertyTest,
    Range,
    Score,
    Stage,
    Tagged,
    TiedTest,
    Touched,
    ValueTest,
    Worth,
)
from journeys.timing import Duration

_BARE_WORD = re.compile(r"[^\W\d]\w*([./-]\w+)*")


_WORTH = {
    "orders": "number of orders", "revenue": "revenue of orders", "lifetime_value": "worth of orders",
    "days_since_order": "days since the last order", "r": "recency quintile", "f": "frequency quintile",
    "m": "monetary quintile",
}  # fmt: skip


def holds(condition: Condition, seen: dict[str, bool]) -> bool:
    """The condition's answer, given the answer of each of its leaves by `say`."""
    match condition:
        case AllOf(all=parts):
            return all(holds(part, seen) for part in parts)
        case AnyOf(any=parts):
            return any(holds(part, seen) for part in parts)
        case Not(not_=part):
            return not holds(part, seen)
        case _:
            return seen[say(condition)]


def say(condition: Condition) -> str:
    """The condition in words, for the path a run took and for drawings.

    Two conditions that mean different things never say the same: answers are kept by these words.
    """
    match condition:
        case AllOf(all=parts):
            return " and ".join(_wrap(part) for part in parts)
        case AnyOf(any=parts):
            return " or ".join(_wrap(part) for part in parts)
        case Not(not_=part):
            return f"not {_wrap(part)}"
        case Score(score=range_):
            bounds = [f"at least {range_.at_least}"] if range_.at_least is not None else []
            bounds += [f"below {range_.below}"] if range_.below is not None else []
            return "score " + " and ".join(bounds)
        case Stage(stage=words):
            return f"stage is {_or(words)}"
        case Country(country=words):
            return f"country is {_or(words)}"
        case Locale(locale=words):
            return f"locale is {_or(words)}"
        case Tagged(tag=words):
            return f"tagged {_or(words)}"
        case Consented(consent=channel):
            return f"consents to {channel}"
        case FieldIs(field=test):
            return _say_field(test)
        case Happened(event=test):
            return _say_event(test)
        case Touched(touched=touch):
            return f"{touch.message} {touch.status}" + _within(touch.within)
        case Opened(opened=message):
            return f"opened {message}"
        case Clicked(clicked=message):
            return f"clicked {message}"
        case InSegment(segment=names):
            return f"in segment {' or '.join(names)}"
        case InLifecycle(lifecycle=words):
            return f"lifecycle is {' or '.join(words)}"
        case Worth(value=worth):
            return ", ".join(f"{_WORTH[name]} {_say_range(wanted)}" for name, wanted in worth.parts().items())


def _say_range(wanted: Range) -> str:
    bounds = [f"at least {_value(wanted.at_least)}"] if wanted.at_least is not None else []
    return " and ".join([*bounds, *([f"below {_value(wanted.below)}"] if wanted.below is not None else [])])


def _wrap(condition: Condition) -> str:
    return f"({say(condition)})" if isinstance(condition, AllOf | AnyOf) else say(condition)


def _or(words: list[Any]) -> str:
    return " or ".join(_value(word) for word in words)


def _value(value: Any) -> str:
    """A value as it stands in a sentence: text that could be taken for more than a word is in quotes."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(int(value)) if value == int(value) else repr(value)
        case date():
            return value.isoformat()
        case _:
            text = str(value)
            plain = _BARE_WORD.fullmatch(text) and text not in ("true", "false", "and", "or", "not")
            return text if plain else json.dumps(text, ensure_ascii=False)


def _within(duration: Duration | None) -> str:
    return f" within {duration.words()}" if duration else ""


def _say_field(test: FieldTest) -> str:
    return f"{test.name} {say_test(test)}"


def say_test(test: ValueTest) -> str:
    """A test of a value in words: "at least 50 and below 100"."""
    parts = []
    if test.is_ is not None:
        parts.append(f"is {_or(test.is_)}")
    if test.is_not is not None:
        parts.append(f"is not {_or(test.is_not)}")
    if test.exists is not None:
        parts.append("is known" if test.exists else "is unknown")
    for word, value in (("at least", test.at_least), ("below", test.below), ("contains", test.contains),
                        ("before", test.before), ("after", test.after)):  # fmt: skip
        if value is not None:
            parts.append(f"{word} {_value(value)}")
    if isinstance(test, TiedTest) and test.tie:
        parts.append(f"is the {test.tie} of the entry")
    return " and ".join(parts)


def say_with(tests: Mapping[str, PropertyTest]) -> str:
    """The tests of an event's properties in words, or nothing: " with cart is 7, value at least 50"."""
    said = ", ".join(f"{_value(name)} {say_test(test)}" for name, test in tests.items())
    return f" with {said}" if said else ""


def _say_event(test: EventTest) -> str:
    times = []
    if test.at_least is not None:
        times.append(f"at least {_times(test.at_least)}")
    if test.at_most is not None:
        times.append(f"at most {_times(test.at_most)}")
    return " ".join([test.name, *times]) + say_with(test.with_) + _within(test.within)


def _times(count: int) -> str:
    return f"{count} time{'' if count == 1 else 's'}"
