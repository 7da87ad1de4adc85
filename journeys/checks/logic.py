"""Whether anybody can meet a condition, by simple reasoning: never wrong when it says that nobody can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

from journeys.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Country,
    EventTest,
    FieldIs,
    Happened,
    InLifecycle,
    InSegment,
    Locale,
    Not,
    Range,
    Score,
    Stage,
    Tagged,
    Touched,
    ValueTest,
    Worth,
)
from journeys.saying import say

MOST_CASES = 400
"""More cases than these are not gone through: nothing is said then."""

Literal = tuple[bool, Condition]
"""A leaf, and whether it holds."""


class TooMany(Exception):
    """There are more cases than anybody goes through."""


def impossible(held: Iterable[Condition], denied: Iterable[Condition] = ()) -> bool:
    """Whether nobody can meet all of `held` and none of `denied`."""
    try:
        wanted = [_cases(one, True) for one in held] + [_cases(one, False) for one in denied]
        return all(_contradicts(case) for case in _together(wanted))
    except TooMany:
        return False


def _cases(condition: Condition, holds: bool) -> list[list[Literal]]:
    """The ways in which a condition comes out so, each as leaves that hold or do not."""
    match condition:
        case AllOf(all=inner) | AnyOf(any=inner):
            each = [_cases(part, holds) for part in inner]
            if isinstance(condition, AllOf) is holds:
                return _together(each)
            return _bounded(case for cases in each for case in cases)
        case Not(not_=part):
            return _cases(part, not holds)
        case _:
            return [[(holds, condition)]]


def _together(each: list[list[list[Literal]]]) -> list[list[Literal]]:
    return _bounded([leaf for case in cases for leaf in case] for cases in product(*each))


def _bounded(cases: Iterable[list[Literal]]) -> list[list[Literal]]:
    found = list(islice(cases, MOST_CASES + 1))
    if len(found) > MOST_CASES:
        raise TooMany
    return found


def _contradicts(case: list[Literal]) -> bool:
    held = [leaf for holds, leaf in case if holds]
    denied = [leaf for holds, leaf in case if not holds]
    return (
        any(_implies(one, other) for one in held for other in denied)
        or _no_score(held, denied)
        or _no_worth(held)
        or _no_word(held, denied)
        or _no_locale(held, denied)
        or _no_field(held, denied)
        or any(isinstance(leaf, Happened) and _never(leaf.event) for leaf in held)
        or any(_too_often(one.event, other.event) for one in held for other in held
               if isinstance(one, Happened) and isinstance(other, Happened))
    )  # fmt: skip


def _implies(one: Condition, other: Condition) -> bool:
    """Whether everybody who meets the one meets the other; False also when that is not plain."""
    if say(one) == say(other):
        return True
    match one, other:
        case (Stage(stage=few), Stage(stage=many)) | (Tagged(tag=few), Tagged(tag=many)):
            return {*few} <= {*many}
        case (Country(country=few), Country(country=many)) | (InSegment(segment=few), InSegment(segment=many)):
            return {*few} <= {*many}
        case InLifecycle(lifecycle=few), InLifecycle(lifecycle=many):
            return {*few} <= {*many}
        case Worth(value=narrow___), Worth(value=wide___):
            mine = narrow___.parts()
            return all(name in mine and _inside(mine[name], wanted) for name, wanted in wide___.parts().items())
        case FieldIs(field=narrow), FieldIs(field=wide):
            return narrow.name == wide.name and passes_too(narrow, wide)
        case Happened(event=narrow_), Happened(event=wide_):
            least, most = _counts(narrow_)
            least_, most_ = _counts(wide_)
            if most_ is None:
                return least >= least_ and _part_of(narrow_, wide_)
            if least_ == 0 and most is not None:
                return most <= most_ and _part_of(wide_, narrow_)
            return False
        case Touched(touched=narrow__), Touched(touched=wide__):
            same = (narrow__.message, narrow__.status) == (wide__.message, wide__.status)
            return same and _shorter(narrow__.within, wide__.within)
    return False


def _never(test: EventTest) -> bool:
    """Whether it asks for an event that no event is."""
    return _counts(test)[0] > 0 and any(no_value([one]) for one in test.with_.values())


def _counts(test: EventTest) -> tuple[int, int | None]:
    least = test.at_least if test.at_least is not None else int(test.at_most is None)
    return least, test.at_most


def _part_of(narrow: EventTest, wide: EventTest) -> bool:
    """Whether each event that the one test counts is counted by the other."""
    return (
        narrow.name == wide.name
        and _shorter(narrow.within, wide.within)
        and all(name in narrow.with_ and passes_too(narrow.with_[name], test) for name, test in wide.with_.items())
    )


def _shorter(one: object, other: object) -> bool:
    return other is None or one == other


def _too_often(one: EventTest, other: EventTest) -> bool:
    """Whether the one asks for more events than the other lets happen."""
    least, most = _counts(one)[0], _counts(other)[1]
    return most is not None and least > most and _part_of(one, other)


def _no_score(held: list[Condition], denied: list[Condition]) -> bool:
    """Whether no number lies in all ranges that hold and in none of the others."""
    if not any(isinstance(leaf, Score) for leaf in [*held, *denied]):
        return False
    low, high = float("-inf"), float("inf")
    for leaf in held:
        if isinstance(leaf, Score):
            low = max(low, leaf.score.at_least if leaf.score.at_least is not None else low)
            high = min(high, leaf.score.below if leaf.score.below is not None else high)
    gaps = sorted(
        (
            leaf.score.at_least if leaf.score.at_least is not None else float("-inf"),
            leaf.score.below if leaf.score.below is not None else float("inf"),
        )
        for leaf in denied
        if isinstance(leaf, Score)
    )
    for start, end in gaps:
        if start > low:
            break
        low = max(low, end)
    return low >= high


def _bounds(wanted: Range) -> tuple[float, float]:
    low, high = wanted.at_least, wanted.below
    return float("-inf") if low is None else low, float("inf") if high is None else high


def _inside(narrow: Range, wide: Range) -> bool:
    (low, high), (lowest, highest) = _bounds(narrow), _bounds(wide)
    return low >= lowest and high <= highest


def _no_worth(held: list[Condition]) -> bool:
    """Whether what is asked of one figure of a customer's orders rules out what else is asked of it."""
    asked: dict[str, list[tuple[float, float]]] = {}
    for leaf in held:
        if isinstance(leaf, Worth):
            for name, wanted in leaf.value.parts().items():
                asked.setdefault(name, []).append(_bounds(wanted))
    return any(max(low for low, _ in each) >= min(high for _, high in each) for each in asked.values())


def _no_word(held: list[Condition], denied: list[Condition]) -> bool:
    """Whether no stage (of either kind) and no country is left; or every tag or segment asked for is ruled out."""
    for kind in (Stage, Country, InLifecycle):
        asked = [_words(leaf) for leaf in held if isinstance(leaf, kind)]
        out = set[str]().union(*(_words(leaf) for leaf in denied if isinstance(leaf, kind)))
        if asked and not set.intersection(*asked) - out:
            return True
    for several in (Tagged, InSegment):
        out = set[str]().union(*(_words(leaf) for leaf in denied if isinstance(leaf, several)))
        if any(isinstance(leaf, several) and _words(leaf) <= out for leaf in held):
            return True
    return False


def _words(leaf: Condition) -> set[str]:
    match leaf:
        case Stage(stage=words) | Country(country=words) | Tagged(tag=words) | InSegment(segment=words):
            return set(words)
        case InLifecycle(lifecycle=words):
            return set(words)
    return set()


def _no_locale(held: list[Condition], denied: list[Condition]) -> bool:
    out = [word for leaf in denied if isinstance(leaf, Locale) for word in _tags(leaf)]
    left: list[str] | None = None
    for leaf in held:
        if isinstance(leaf, Locale):
            words = _tags(leaf)
            both = product(words if left is None else left, words)
            left = [max(one, other, key=len) for one, other in both if _covers(one, other) or _covers(other, one)]
    return left is not None and all(any(_covers(word, one) for word in out) for one in left)


def _tags(leaf: Locale) -> list[str]:
    return [word.lower().replace("_", "-") for word in leaf.locale]


def _covers(wide: str, narrow: str) -> bool:
    return f"{narrow}-".startswith(f"{wide}-")


def _no_field(held: list[Condition], denied: list[Condition]) -> bool:
    fields: dict[str, list[ValueTest]] = {}
    for leaf in held:
        if isinstance(leaf, FieldIs):
            fields.setdefault(leaf.field.name, []).append(leaf.field)
    if any(no_value(tests) for tests in fields.values()):
        return True
    known: dict[str, set[bool]] = {}
    for leaf in denied:
        if isinstance(leaf, FieldIs) and leaf.field.model_fields_set == {"name", "exists"}:
            known.setdefault(leaf.field.name, set()).add(bool(leaf.field.exists))
    return any(both == {True, False} for both in known.values())


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
