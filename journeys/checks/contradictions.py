"""Tests that contradict one another, kind by kind: never wrong when it says that they do."""

from __future__ import annotations

from itertools import product

from journeys.checks.values import no_value, passes_too
from journeys.conditions import (
    Condition,
    Country,
    EventTest,
    FieldIs,
    Happened,
    InLifecycle,
    InSegment,
    Locale,
    Range,
    Score,
    Stage,
    Tagged,
    Touched,
    ValueTest,
    Worth,
)
from journeys.saying import say


def contradict(held: list[Condition], denied: list[Condition]) -> bool:
    """Whether nobody can meet all of the tests that hold and none of those that are denied, as far as that is plain."""
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
