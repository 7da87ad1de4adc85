"""When refusals of a broadcast's message are too many: never for one company's filter, always where all refuse."""

from __future__ import annotations

from activities.broadcasts.refusals import MOST, Refusals


def refused_until_too_many(seen: Refusals, *domains: str, most: int = 300) -> int:
    """How many refusals it takes, by these domains in turn."""
    for count in range(1, most + 1):
        seen.refused(None, "en", f"p{count}@{domains[count % len(domains)]}", "554 5.7.1 no")
        if seen.too_many:
            return count
    return most + 1


def took(seen: Refusals, count: int, domain: str) -> Refusals:
    for number in range(count):
        seen.taken(None, "en", f"p{number}@{domain}")
    return seen


def test_where_everybody_is_refused_a_few_are_enough_however_many_were_taken_before() -> None:
    assert refused_until_too_many(Refusals(), "one.example") == MOST
    assert refused_until_too_many(took(Refusals(), 5000, "one.example"), "one.example") == MOST
    assert refused_until_too_many(took(Refusals(), 5000, "one.example"), "one.example", "two.example") == MOST


def test_a_filter_of_one_company_does_not_stop_it_where_many_others_took_it() -> None:
    assert refused_until_too_many(took(Refusals(), 5000, "shop.example"), "corp.example", most=200) == 201
    # Of whom others are few, it may well be that all would refuse.
    assert refused_until_too_many(took(Refusals(), 200, "shop.example"), "corp.example") < 30
