"""Which values pass tests of a field or of an event: never wrong when it says that none does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from journeys.conditions import ValueTest


@dataclass(frozen=True, slots=True)
class _Key:
    """A value as tests compare it: 5 is 5.0, and neither is "5"."""

    kind: str
    value: object


def _keys(values: Iterable[object]) -> set[_Key]:
    return {_Key("number" if _number(value) else type(value).__name__, value) for value in values}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def no_value(tests: Iterable[ValueTest]) -> bool:
    """Whether no value passes all of these tests."""
    tests = list(tests)
    low = max((test.at_least for test in tests if test.at_least is not None), default=None)
    high = min((test.below for test in tests if test.below is not None), default=None)
    after = max((test.after for test in tests if test.after is not None), default=None)
    before = min((test.before for test in tests if test.before is not None), default=None)
    out = set[_Key]().union(*(_keys(test.is_not) for test in tests if test.is_not is not None))
    asked = [test.is_ for test in tests if test.is_ is not None]
    absent = any(test.exists is False for test in tests)
    if absent and any(_wants_one(test) for test in tests):
        return True
    if (low is not None and high is not None and low >= high) or (
        after is not None and before is not None and (before - after).days <= 1
    ):
        return True
    if not asked:
        return False
    numbers = all(_number(value) for values in asked for value in values)
    alike = numbers or all(isinstance(value, str) for values in asked for value in values)
    if not alike:
        return False  # a day, a moment or a word may be the same value in other words
    left = set.intersection(*(_keys(values) for values in asked)) - out
    if numbers:
        left = {key for key in left if _within(key.value, low, high)}
    return not left


def _wants_one(test: ValueTest) -> bool:
    parts: Mapping[str, object] = {"is": test.is_, "least": test.at_least, "below": test.below, "has": test.contains,
                                   "before": test.before, "after": test.after}  # fmt: skip
    return test.exists is True or any(part is not None for part in parts.values())


def _within(value: object, low: float | None, high: float | None) -> bool:
    assert isinstance(value, int | float)
    return (low is None or value >= low) and (high is None or value < high)


def passes_too(narrow: ValueTest, wide: ValueTest) -> bool:
    """Whether each value that passes the one test passes the other; False also when that is not plain."""
    return all(_part_passes(narrow, wide))


def _part_passes(narrow: ValueTest, wide: ValueTest) -> Iterator[bool]:
    if getattr(wide, "same_as", None) is not None:
        yield getattr(narrow, "same_as", None) == getattr(wide, "same_as", None)
    only = narrow.is_ or []
    if wide.is_ is not None:
        yield bool(only) and _keys(only) <= _keys(wide.is_)
    if wide.is_not is not None:
        yield narrow.is_not is not None and _keys(wide.is_not) <= _keys(narrow.is_not)
    if wide.exists is not None:
        yield _wants_one(narrow) if wide.exists else narrow.exists is False
    if wide.at_least is not None:
        yield (narrow.at_least is not None and narrow.at_least >= wide.at_least) or (
            bool(only) and all(_number(value) and value >= wide.at_least for value in only)  # type: ignore[operator]
        )
    if wide.below is not None:
        yield (narrow.below is not None and narrow.below <= wide.below) or (
            bool(only) and all(_number(value) and value < wide.below for value in only)  # type: ignore[operator]
        )
    if wide.contains is not None:
        yield narrow.contains is not None and wide.contains.lower() in narrow.contains.lower()
    if wide.before is not None:
        yield narrow.before is not None and narrow.before <= wide.before
    if wide.after is not None:
        yield narrow.after is not None and narrow.after >= wide.after
