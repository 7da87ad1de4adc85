"""Several addresses or numbers in one cell: all are taken where each is one, else the one that is wrong is named."""

from pathlib import Path

import pytest

from activities.intake import several
from activities.intake.chunks import Chunk
from activities.intake.importing import CustomerFile
from activities.intake.parsing import Parser
from records.intake.pages import Page

A, B, C = "a@acme.example", "b@acme.example", "c@acme.example"
BERLIN, MOBILE, US, US2 = "+4930901820", "+4915112345678", "+12025550143", "+12025550199"


def parsed(folder: Path, text: str, country: str | None = None) -> tuple[Page, dict[str | None, str]]:
    """The rows that can be taken, and what is wrong with the others."""
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    file = CustomerFile(path, {}, country=country)
    page, rejected, *_ = Parser(file.reading).parse(Chunk(1, text.encode(), "utf-8", len(text)))
    return page, {mistake.field: mistake.error for one in rejected for mistake in one.mistakes}


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


EMAILS = {
    "a semicolon": (f"{A}; {B}", A, B),
    "a comma": (f"{A}, {B}", A, B),
    "a comma and nothing else": (f"{A},{B}", A, B),
    "a slash": (f"{A} / {B}", A, B),
    "a slash without blanks": (f"{A}/{B}", A, B),
    "a bar": (f"{A}|{B}|{C}", A, B, C),
    "a line": (f"{A}\n{B}", A, B),
    "a line of Windows": (f"{A}\r\n{B}\r\n", A, B),
    "as Google writes it": (f"{A} ::: {B}", A, B),
    "blanks only": (f"{A} {B}", A, B),
    "a word": (f"{A} or {B}", A, B),
    "marks of Chinese keyboards": ("a@acme.example；b@acme.example、c@acme.example", A, B, C),
    "a mark too many": (f"; {A};; {B};", A, B),
    "one of them twice": (f"{A}; A@ACME.example; {B}", A, B),
    "one twice": (f"{A}; {A}", A),
    "nothing on one side": (f"n/a; {A}", A),
    "nothing at all": (f"-; n/a | +4915112345678 / {A}".partition(" |")[0],),
    "names": (f"Ada <{A}>; Byron, Ada <{B}>, \"Byron; Ada\" <{C}>", A, B, C),
    "names and slashes": (f"Ada <{A}> / Byron, Ada <{B}> and <{C}>", A, B, C),
    "one name with a comma": (f"Byron, Ada <{A}>", A),
    "an address as its name": (f"{A} <{A}>", A),
    "remarks": (f"{A} (work), {B} (home, old)", A, B),
    "mailto": (f"mailto:{A}; mailto:{B}", A, B),
    "labels": (f"Work: {A}; home (old): {B}", A, B),
    "a word in capitals": (f"{A} AND {B}", A, B),
    "a subject with a comma": (f"mailto:{A}?subject=Hello, you", A),
    "quotes around all": (f'"{A}; {B}"', A, B),
    "quotes around each": (f'"{A}"; "{B}"', A, B),
    "a list of a program": (f"['{A}', '{B}']", A, B),
    "a slash before the sign": ("a/b@acme.example", "a/b@acme.example"),
}  # fmt: skip


@pytest.mark.parametrize("case", EMAILS)
def test_addresses_in_one_cell_are_all_taken(tmp_path: Path, case: str) -> None:
    cell, *wanted = EMAILS[case]
    page, wrong = parsed(tmp_path, f"external_id,email,phone\n7,{quoted(cell)},{US}\n")
    assert (wrong, page.emails, page.phones) == ({}, [wanted[0] if wanted else None], [US])
    assert page.further == [tuple(("email", one) for one in wanted[1:])]


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        (f"{A}; b.acme.example", "'b.acme.example'"),
        (f"{A}, b@acme", "'b@acme'"),
        (f"nobody; {A}; {B}", "'nobody'"),
        (f"{A} / b@@acme.example", "'b@@acme.example'"),
        (f"{A}; ada:secret@acme.example", "'ada:secret@acme.example'"),
        ("a@acme,example; b@acme.example", "'a@acme,example'"),
        ("; ".join(f"p{number}@acme.example" for number in range(21)), "at most 20"),
    ],
)
def test_of_several_addresses_the_one_that_is_wrong_is_named(tmp_path: Path, cell: str, wrong: str) -> None:
    page, told = parsed(tmp_path, f"email,first_name\n{quoted(cell)},Ada\n")
    assert page.lines == []
    assert list(told) == ["email"]
    assert wrong in told["email"]


PHONES = {
    "a semicolon": (None, "+49 30 901820; +49 151 12345678", BERLIN, MOBILE),
    "a comma": (None, "+49 30 901820, +49 151 12345678", BERLIN, MOBILE),
    "a slash": (None, "+49 30 901820 / +49 151 12345678", BERLIN, MOBILE),
    "a slash and zeros": (None, "+49 30 901820/0049 151 12345678", BERLIN, MOBILE),
    "a line": (None, "+49 30 901820\n+49 151 12345678", BERLIN, MOBILE),
    "as Google writes it": (None, "+49 30 901820 ::: +49 151 12345678", BERLIN, MOBILE),
    "a plus only": (None, "+49 30 901820 +49 151 12345678", BERLIN, MOBILE),
    "a comma and a plus": ("DE", "030 901820, 0151 12345678 +1 202 555 0143", BERLIN, MOBILE, US),
    "a word": (None, "+49 30 901820 oder +49 151 12345678", BERLIN, MOBILE),
    "one country's": ("DE", "030 901820, 0151 12345678", BERLIN, MOBILE),
    "slashes between and inside": ("DE", "030/901820 / 0151/12345678", BERLIN, MOBILE),
    "labels without a colon": (None, "Tel {}; (work) {}".format("+49 30 901820", "+49 151 12345678"), BERLIN, MOBILE),
    "a remark with figures": (None, "+49 151 12345678 (after 18:00)", MOBILE),
    "zeros, a slash and more than fifteen digits": (None, "0049 (0) 33201/1234567", "+49332011234567"),
    "a mobile number that has no zero": ("CN", "010-62345678, 13800138000", "+861062345678", "+8613800138000"),
    "none has a zero": ("DE", "30 901820; 151 12345678", BERLIN, MOBILE),
    "labels": (None, "Büro: +49 30 901820, Mobil: +49 151 12345678", BERLIN, MOBILE),
    "two behind a slash": ("US", "202-555-0143 / 202-555-0199", US, US2),
    "remarks": (None, "+49 30 901820 (work), +49 151 12345678 (mobil)", BERLIN, MOBILE),
    "one twice": ("DE", "030 901820; +49 30 901820", BERLIN),
    "nothing on one side": (None, "0; +49 30 901820; n/a", BERLIN),
    "a number with a slash": ("DE", "030/901820", BERLIN),
    "a code of six digits with a slash": ("DE", "033201/12345", "+493320112345"),
    "an extension behind a slash": (None, "+1 202 555 0143 / ext 2", US),
    "two extensions": (None, "+1 202 555 0143 ext. 12, 13", US),
    "an extension before a slash": ("US", "+1 202 555 0143 ext. 12 / 202-555-0199", US, US2),
    "an extension behind a semicolon": (None, "+1 202 555 0143; ext 12", US),
    "an extension as links have it": (None, "tel:+1-202-555-0143;ext=12", US),
    "a short one behind a comma": (None, "+49 30 901820, 21", BERLIN),
    "quotes around each": (None, '"+49 30 901820"; "+49 151 12345678"', BERLIN, MOBILE),
}  # fmt: skip


@pytest.mark.parametrize("case", PHONES)
def test_numbers_in_one_cell_are_all_taken_and_one_number_stays_one(tmp_path: Path, case: str) -> None:
    country, cell, *wanted = PHONES[case]
    page, wrong = parsed(tmp_path, f"phone,first_name\n{quoted(str(cell))},Ada\n", country)
    assert (wrong, page.phones) == ({}, [wanted[0]])
    assert page.further == [tuple(("phone", one) for one in wanted[1:])]


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ("+49 30 901820; 0151 12345678", "'0151 12345678' has no country"),
        ("+49 30 901820, +49 12", "'+49 12'"),
        ("+49 30 901820; call me", "'call me'"),
        ("+49 30 901820/901821", "its length is wrong"),
        ("+49 30 901820; 4.91512E+11", "Excel has rounded"),
    ],
)
def test_of_several_numbers_the_one_that_is_wrong_is_named(tmp_path: Path, cell: str, wrong: str) -> None:
    page, told = parsed(tmp_path, f"phone,first_name\n{quoted(cell)},Ada\n")
    assert page.lines == []
    assert wrong in told["phone"]


@pytest.mark.parametrize(
    ("country", "cell"),
    [("DE", "030 901820, 901821"), ("DE", "+49 30 901820; 4567890"), ("CN", "0571-88888888/87777777")],
)
def test_a_number_that_lacks_the_area_code_of_the_one_before_is_nobodys(
    tmp_path: Path, country: str, cell: str
) -> None:
    page, told = parsed(tmp_path, f"phone,first_name\n{quoted(cell)},Ada\n", country)
    assert page.lines == []
    assert "no area code" in told["phone"]


def test_all_columns_of_addresses_may_hold_several_and_an_id_is_never_cut(tmp_path: Path) -> None:
    text = (
        "external_id,Email,Additional email addresses,Phone 1 - Value,Phone 2 - Value\n"
        f'a;b,"{A}; {B}","{B};{C}","{BERLIN} ::: {MOBILE}",{US}\n'
        f'c,,"{B};{C}",,\n'
    )
    page, wrong = parsed(tmp_path, text)
    assert wrong == {}
    assert (page.external_ids, page.emails, page.phones) == (["a;b", "c"], [A, B], [BERLIN, None])
    assert page.further == [(("email", B), ("phone", MOBILE), ("email", C), ("phone", US)), (("email", C),)]


def test_no_cell_takes_long_however_many_marks_it_holds(tmp_path: Path) -> None:
    for mark in (" ", ",", "/", "@", ";", "(", "<", "1 ", "+", "a@", "ext "):
        cells = [quoted(begin + mark * (3_000 // len(mark)) + end) for begin, end in ("ab", "12")]
        page, told = parsed(tmp_path, f"email,phone\n{','.join(cells)}\n")
        assert (page.lines, list(told)) == ([], ["email", "phone"])
        assert max(map(len, told.values())) < 300
    _, told = parsed(tmp_path, f"email,phone\n{'a' * 20_000},{US}\n")
    assert "at most 10,000" in told["email"]


@pytest.mark.parametrize("text", ["", " ", ";", "[", "[]", "@", "<", '"', "/;/", "ext 2", "+", ",,"])
def test_whatever_a_cell_holds_it_is_cut_without_failing(text: str) -> None:
    assert "".join(several.emails(text)).count("@") == text.count("@")
    assert isinstance(several.phones(text, "DE"), list)
