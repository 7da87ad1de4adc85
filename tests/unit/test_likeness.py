"""Who looks like the same person, and who does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.people.likeness import Likeness, blocks, likeness, plain, portrait


def row(number: int, given: str | None, family: str | None, email: str | None = None, phone: str | None = None,
        **properties: Any) -> dict[str, Any]:  # fmt: skip
    return {"id": number, "first_name": given, "last_name": family, "email": email, "phone": phone,
            "properties": properties}  # fmt: skip


def alike(a: tuple[Any, ...], b: tuple[Any, ...], more: dict[str, Any] | None = None) -> Likeness | None:
    """How alike they are, if they meet at all."""
    one, other = portrait(row(1, *a, **(more or {}))), portrait(row(2, *b, **(more or {})))
    return likeness(one, other) if set(blocks(one)) & set(blocks(other)) else None


SAME = [
    (("Anna", "Müller", "anna.mueller@gmail.com"), ("Anna", "Mueller", "annamueller@gmx.de")),
    (("Anna", "Müller", "a@acme.example"), ("Anne", "Muller", "am@acme.example")),
    (("Müller", "Anna", "a@acme.example"), ("Anna", "Müller", "anna@acme.example")),
    (("Dr. Anna", "Müller", "a@acme.example"), ("Anna", "Müller", "anna@acme.example")),
    (("Anna Maria", "Rossi", None, "+393331234567"), ("Anna", "Rossi", None, "+393331234576")),
    (("Jean-Luc", "Picard", None, "+33612345678"), ("Jean Luc", "PICARD", None, "+49612345678")),
    (("小明", "王", None, "+8613812345678"), ("晓明", "王", None, "+8513812345678")),
    (("小明", "王", "wang.xm@acme.cn"), ("王", "小明", "xm@acme.cn")),
    ((None, None, "bernadette@gmail.com"), (None, None, "bernadette@gmial.com")),
    (("Sinéad", "O'Neill", "s.oneill@tcd.ie"), ("Sinead", "O Neill", "sinead@tcd.ie")),
    (("Bob", "Smith", "bob@acme.example"), ("Robert", "Smith", "r.smith@acme.example")),
    (("Mike", "Smith", "mike@acme.example"), ("Michael", "Smith", "ms@acme.example")),
    (("Peggy", "Olson", None, "+12025550143"), ("Margaret J.", "Olson", None, "+442025550143")),
    (("Bill", "Smith", "smith@gmail.com"), ("Smith", "William", "smith@gmx.net")),
]
OTHER = [
    (("Anna", "Müller", "anna@gmail.com"), ("Anna", "Müller", "mueller.a@gmx.de")),
    (("Anna", "Müller", "anna@acme.example"), ("Bernd", "Maier", "bernd@acme.example")),
    (("Anna", "Müller", "info@a.example"), ("Jonas", "Weber", "info@b.example")),
    (("小明", "王", "a@qq.com"), ("小红", "王", "b@qq.com")),
    ((None, None, "anna@gmail.com"), (None, None, "anna@acme.example")),
    ((None, None, None, "+4915112345678"), (None, None, None, "+4915198765432")),
    ((None, None, None, "+8613912345678"), (None, None, None, "+8613512345678")),
    (("Max", "Li", "max@acme.example"), ("Mia", "Lu", "mia@acme.example")),
    (("Bob", "Smith", "bob@gmail.com"), ("Robert", "Smith", "r.smith@gmail.com")),
    (("Bob", "Smith", "bob@acme.example"), ("Robert", "Jones", "robert@acme.example")),
    (("Bob", None, "bob@acme.example"), ("Robert", None, "robert@acme.example")),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_who_may_be_one_is_proposed_with_the_reason(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    found = alike(a, b)
    assert found is not None
    assert found.because
    assert found == alike(b, a)


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_who_only_has_a_name_or_an_address_in_common_is_not(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    assert alike(a, b) is None


def test_a_place_that_both_name_is_evidence() -> None:
    a, b = ("Anna", "Müller", "a@gmail.com"), ("Anna", "Mueller", "b@gmx.de")
    assert alike(a, b) is None
    assert alike(a, b, {"city": "Köln", "zip": "50667"}) is not None
    assert alike(a, b, {"plan": "team"}) is None


def test_people_are_proposed_under_what_they_are_called_for_short_with_the_company_in_common() -> None:
    found = alike(("Bob", "Smith", "b@gmail.com"), ("Robert", "Smith", "rs@gmx.net"), {"company": "Acme"})
    assert found is not None
    assert found.because == ("called bob and robert", "both: acme")


@pytest.mark.parametrize(("written", "read"), [
    ("  MÜLLER ", "muller"), ("Mueller", "muller"), ("Straße", "strasse"), ("Łukasz", "lukasz"), ("ＡＢＣ", "abc"),
    ("", ""), ("王小明", "王小明"), ("O'Neill", "o neill"),
])  # fmt: skip
def test_the_plainest_spelling(written: str, read: str) -> None:
    assert plain(written) == read


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=4, max_size=4))
def test_whatever_stands_in_a_record_it_is_like_itself_and_nothing_breaks(said: list[str | None]) -> None:
    one, other = portrait(row(1, *said)), portrait(row(2, *said))
    assert set(blocks(one)) == set(blocks(other))
    found = likeness(one, other)
    assert found is None or 0.75 <= found.score <= 1
