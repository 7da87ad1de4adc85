"""Whether anybody can meet a condition, by simple reasoning: never wrong when it says that nobody can."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product

from journeys.checks.contradictions import contradict
from journeys.conditions import AllOf, AnyOf, Condition, Not

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
    return contradict([leaf for holds, leaf in case if holds], [leaf for holds, leaf in case if not holds])
