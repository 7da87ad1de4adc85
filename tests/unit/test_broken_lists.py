"""Dirty lists, kind by kind: what is meant is taken, what cannot be is told with its line, field and reason."""

import gzip
import zipfile
from pathlib import Path

import pytest

from activities.intake.importing import CustomerFile, Rejection, Rejects, Row
from activities.intake.rejects import Mistake
from activities.intake.tabular import UnreadableTable
from journeys.fields import Field

FIELDS = {
    "birthday": Field("birthday", "date", "Birthday"),
    "plan": Field("plan", "text", "Plan"),
    "since": Field("since", "date", "Customer since"),
    "spent": Field("spent", "number", "Spent"),
}


def read(folder: Path, content: str | bytes, **options: str) -> list[Row | Rejection]:
    path = folder / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(CustomerFile(path, FIELDS, **options))  # type: ignore[arg-type]


def one(folder: Path, header: str, line: str, **options: str) -> Row | Rejection:
    [found] = read(folder, f"{header}\n{line}\n", **options)
    return found


REFUSED_WHOLE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is empty"),
    ("blank lines only", b"\n \n\r\n", "is empty"),
    ("gzip", gzip.compress(b"email\na@acme.example\n"), "compressed with gzip"),
    ("zip or xlsx", b"PK\x03\x04" + b"x" * 50, "Excel workbook"),
    ("xls", b"\xd0\xcf\x11\xe0" + b"x" * 50, "Excel workbook"),
    ("picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a picture"),
    ("binary", bytes(range(256)) * 20, "binary"),
    ("web page", b"<!DOCTYPE html><html><body>log in</body></html>", "web page"),
    ("json", b'[{"email": "a@acme.example"}]', "JSON"),
    ("pdf", b"%PDF-1.7\n", "a PDF"),
    ("no header", b"a@acme.example,Ada\nb@acme.example,Bo\n", "is no header"),
    ("no address", b"first_name,plan\nAda,home\n", "no column is an email or a phone"),
    ("a column twice", b"email,name,email\na@acme.example,A,b@acme.example\n", "both mean email"),
]


@pytest.mark.parametrize(("content", "why"), [case[1:] for case in REFUSED_WHOLE], ids=[c[0] for c in REFUSED_WHOLE])
def test_what_is_no_list_is_refused_whole_and_says_what_it_is(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(UnreadableTable, match=why) as error:
        read(tmp_path, content)
    assert error.value.hint
    assert "\n" not in error.value.message


def test_a_workbook_saved_under_the_name_of_a_list_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(UnreadableTable, match="Excel workbook"):
        CustomerFile(path, FIELDS)


def test_a_header_alone_is_a_list_of_nobody(tmp_path: Path) -> None:
    assert read(tmp_path, "email,first_name\n") == []
    assert read(tmp_path, "email,first_name") == []


TAKEN = [
    ("blanks around", "email", "  a@acme.example  ", "email", "a@acme.example"),
    ("a tab behind", "email", "a@acme.example\t", "email", "a@acme.example"),
    ("non-breaking space", "email", "\u00a0a@acme.example\u00a0", "email", "a@acme.example"),
    ("zero-width space", "email", "a@\u200bacme.example\ufeff", "email", "a@acme.example"),
    ("mailto", "email", "mailto:A@acme.example?subject=x", "email", "a@acme.example"),
    ("in angle brackets", "email", "<a@acme.example>", "email", "a@acme.example"),
    ("with a name", "email", "Ada Byron <a@acme.example>", "email", "a@acme.example"),
    ("a dot behind", "email", "a@acme.example.", "email", "a@acme.example"),
    ("semicolon behind", "email", "a@acme.example;", "email", "a@acme.example"),
    ("in smart quotes", "email", "“a@acme.example”", "email", "a@acme.example"),
    ("in single quotes", "email", "'a@acme.example'", "email", "a@acme.example"),
    ("Excel's formula", "phone", '="+4915112345678"', "phone", "+4915112345678"),
    ("a quote before", "phone", "'+4915112345678", "phone", "+4915112345678"),
    ("tel:", "phone", "tel:+49-151-12345678", "phone", "+4915112345678"),
    ("00 for +", "phone", "0049 151 12345678", "phone", "+4915112345678"),
    ("a trunk zero", "phone", "+49 (0)151 12345678", "phone", "+4915112345678"),
    ("a remark behind", "email", "a@acme.example (work)", "email", "a@acme.example"),
    ("blanks around the sign", "email", "a @ acme.example", "email", "a@acme.example"),
    ("as Exchange writes it", "email", "SMTP:a@acme.example", "email", "a@acme.example"),
    ("a domain in two spellings", "email", "a@xn--bcher-kva.example", "email", "a@bücher.example"),
    ("marks of direction", "phone", "\u202a+49 151 12345678\u202c", "phone", "+4915112345678"),
    ("thin spaces", "phone", "+49\u2009151\u200912345678", "phone", "+4915112345678"),
    ("a word behind", "phone", "+49 151 12345678 (mobil)", "phone", "+4915112345678"),
    ("an extension", "phone", "+49 30 901820 Durchwahl 12", "phone", "+4930901820"),
    ("a formula of a number", "phone", "=+4915112345678", "phone", "+4915112345678"),
    ("an id as a fraction", "external_id", "17.0", "external_id", "17"),
    ("an id as text", "external_id", "'0017", "external_id", "0017"),
    ("a line break in a name", "first_name", '"Ada\nMaria  B."', "first_name", "Ada Maria B."),
    ("letters in two parts", "first_name", "Mu\u0308ller", "first_name", "Müller"),
    ("full-width digits", "phone", "＋４９１５１１２３４５６７８", "phone", "+4915112345678"),
]


@pytest.mark.parametrize(("header", "cell", "name", "value"), [case[1:] for case in TAKEN], ids=[c[0] for c in TAKEN])
def test_what_is_meant_is_taken(tmp_path: Path, header: str, cell: str, name: str, value: str) -> None:
    [row] = read(tmp_path, f"{header}|other_phone\n{cell}|+12025550143\n")
    assert isinstance(row, Row), row
    assert getattr(row.contact, name) == value


TOLD = [
    ("two at-signs", "email", "a@@acme.example", "no mail address"),
    ("a blank inside", "email", "a da@acme.example", "no mail address"),
    ("no domain", "email", "ada", "no mail address"),
    ("rounded by Excel", "phone", "4.91512E+11", "Excel has rounded"),
    ("rounded by a German Excel", "phone", "4,91512E+11", "Excel has rounded"),
    ("no country", "phone", "0151 12345678", "has no country"),
    ("a word", "phone", "+call me", "no phone number"),
    ("nobody's number", "phone", "+1 999 999 9999", "nobody's number"),
]


@pytest.mark.parametrize(("header", "cell", "why"), [case[1:] for case in TOLD])
def test_what_cannot_be_is_told_with_its_field_and_reason(tmp_path: Path, header: str, cell: str, why: str) -> None:
    row = one(tmp_path, f"{header};plan", f"{cell};home")
    assert isinstance(row, Rejection), row
    assert (row.line, row.fields, row.row) == (2, header, [cell, "home"])
    assert why in row.error


@pytest.mark.parametrize(("text", "country", "number"), [
    ("4915112345678", "DE", "+4915112345678"), ("49 30 901820", "DE", "+4930901820"),
    ("0491 12345", "DE", "+4949112345"), ("8613800138000", "CN", "+8613800138000"),
    ("1 202 555 0143", "US", "+12025550143"),
])  # fmt: skip
def test_a_plus_that_was_lost_is_put_back(tmp_path: Path, text: str, country: str, number: str) -> None:
    row = one(tmp_path, "phone;country", f"{text};{country}")
    assert isinstance(row, Row), row
    assert row.contact.phone == number


def test_a_number_without_its_area_is_nobodys(tmp_path: Path) -> None:
    row = one(tmp_path, "phone;country", "555-0143;US")
    assert isinstance(row, Rejection)
    assert "length is wrong" in row.error


@pytest.mark.parametrize("blank", ["unknown", "Unbekannt", "NA", "n.a.", "keine", "NULL", "#N/A", "-", "\u200b"])
def test_nobodys_name_names_nobody(tmp_path: Path, blank: str) -> None:
    """Two who have no address are not the same person."""
    rows = read(tmp_path, f"external_id;email;phone;country\n7;{blank};{blank};DE\n{blank};a@acme.example;0;DE\n")
    names = [(row.contact.external_id, row.contact.email, row.contact.phone) for row in rows if isinstance(row, Row)]
    assert names == [(None, "a@acme.example", None)]
    assert ["no address" in row.error for row in rows if isinstance(row, Rejection)] == [True]


def test_who_wants_nothing_is_noted_and_nobody_else(tmp_path: Path) -> None:
    rows = read(
        tmp_path, "Email,Email Opt Out,Newsletter\na@acme.example,TRUE,yes\nb@acme.example,FALSE,never_subscribed\n"
    )
    assert [row.contact.consents for row in rows if isinstance(row, Row)] == [{"email": False}, {}]


@pytest.mark.parametrize(
    "blank", ["N/A", "n/a", "#N/A", "null", "NULL", "None", "-", "—", "nan", "(blank)", "\\N", " "]
)
def test_words_for_nothing_say_nothing(tmp_path: Path, blank: str) -> None:
    row = one(tmp_path, "email|phone|country|plan|since", f"a@acme.example|{blank}|{blank}|{blank}|{blank}")
    assert isinstance(row, Row), row
    assert (row.contact.phone, row.contact.country, dict(row.contact.properties)) == (None, None, {})


def test_people_are_called_null(tmp_path: Path) -> None:
    row = one(tmp_path, "email,last_name,country", "a@acme.example,Null,NA")
    assert isinstance(row, Row)
    assert (row.contact.last_name, row.contact.country) == ("Null", "NA")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-01", "2026-03-01"), ("2026/3/1", "2026-03-01"), ("1.3.2026", "2026-03-01"),
        ("20260301", "2026-03-01"), ("13/04/2026", "2026-04-13"), ("04/13/2026", "2026-04-13"),
        ("1 Mar 2026", "2026-03-01"), ("March 1st, 2026", "2026-03-01"), ("2026-03-01 00:00:00", "2026-03-01"),
        ("2026年3月1日", "2026-03-01"), ("05/05/2026", "2026-05-05"),
    ],
)  # fmt: skip
def test_days_that_can_be_read_in_one_way_are_read(tmp_path: Path, text: str, day: str) -> None:
    row = one(tmp_path, "email;since", f"a@acme.example;{text}")
    assert isinstance(row, Row), row
    assert row.contact.properties == {"since": day}


@pytest.mark.parametrize(
    ("text", "day"),
    [("03/14", "1900-03-14"), ("14.3.", "1900-03-14"), ("--03-14", "1900-03-14"), ("March 14", "1900-03-14"),
     ("3月14日", "1900-03-14"), ("02/29", "1904-02-29"), ("14.3.1980", "1980-03-14"), ("0.0.00", None)],
)  # fmt: skip
def test_of_a_birthday_the_year_may_be_missing(tmp_path: Path, text: str, day: str | None) -> None:
    row = one(tmp_path, "email;birthday;since", f"a@acme.example;{text};")
    assert isinstance(row, Row), row
    assert row.contact.properties == ({} if day is None else {"birthday": day})


@pytest.mark.parametrize(("name", "text", "why"), [("birthday", "03/04", "two ways"), ("birthday", "02/30", "'02/30'"),
                                                   ("since", "03/14", "no day")])  # fmt: skip
def test_of_another_day_it_may_not(tmp_path: Path, name: str, text: str, why: str) -> None:
    row = one(tmp_path, f"email;{name}", f"a@acme.example;{text}")
    assert isinstance(row, Rejection)
    assert why in row.error


def test_a_day_that_can_be_read_in_two_ways_is_read_as_the_others_of_the_list_show(tmp_path: Path) -> None:
    def days(rows: list[Row | Rejection]) -> list[object]:
        return [one.contact.properties if isinstance(one, Row) else one.fields for one in rows]

    header = "email;birthday;since\n"
    american = header + "a@acme.example;03/04;\nb@acme.example;12/25;\nc@acme.example;;04/03/2026\n"
    assert days(read(tmp_path, american)) == [
        {"birthday": "1900-03-04"}, {"birthday": "1900-12-25"}, {"since": "2026-04-03"},
    ]  # fmt: skip
    contradictory = american + "d@acme.example;25/12;\n"
    assert days(read(tmp_path, contradictory)) == [
        "birthday", {"birthday": "1900-12-25"}, "since", {"birthday": "1900-12-25"},
    ]  # fmt: skip
    assert days(read(tmp_path, header + "a@acme.example;03/04;\n", date_form="dmy")) == [{"birthday": "1900-04-03"}]
    late = header + "a@acme.example;;2026-04-01\n" * 2_000 + 'b@acme.example;03/04;\nc@acme.example;"=""25/12""";\n'
    assert days(read(tmp_path, late))[-2:] == [{"birthday": "1900-04-03"}, {"birthday": "1900-12-25"}]


def test_a_tag_in_quotes_may_hold_a_comma(tmp_path: Path) -> None:
    row = one(tmp_path, "email,tags", 'a@acme.example,"""News"",""VIP, Berlin"""')
    assert isinstance(row, Row), row
    assert row.contact.tags == ("News", "VIP, Berlin")


@pytest.mark.parametrize(("text", "why"), [("03/04/2026", "two ways"), ("46082", "Excel"), ("31.2.2026", "no day")])
def test_other_days_are_told(tmp_path: Path, text: str, why: str) -> None:
    row = one(tmp_path, "email;since", f"a@acme.example;{text}")
    assert isinstance(row, Rejection)
    assert row.fields == "since"
    assert why in row.error


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50", 1234.5),
        ("1.234,50", 1234.5),
        ("€ 12", 12),
        ("1'000.5", 1000.5),
        ("-3", -3),
        ("12,5", 12.5),
        ("1234,50", 1234.5),
        ("(5.00)", -5),
        ("CHF 12.50", 12.5),
        ("R$ 1.299,00", 1299),
        ("12,-", 12),
    ],
)
def test_numbers_that_can_be_read_in_one_way_are_read(tmp_path: Path, text: str, number: float) -> None:
    row = one(tmp_path, "email;spent", f"a@acme.example;{text}")
    assert isinstance(row, Row), row
    assert row.contact.properties == {"spent": number}


@pytest.mark.parametrize("text", ["1,234", "€ 1.234", "$1,234", "12 apples", "1e999", "infinity"])
def test_other_numbers_are_told(tmp_path: Path, text: str) -> None:
    row = one(tmp_path, "email;spent", f"a@acme.example;{text}")
    assert isinstance(row, Rejection)
    assert row.fields == "spent"


def test_blanks_may_stand_before_quotes(tmp_path: Path) -> None:
    rows = read(tmp_path, 'email, plan, first_name\n"a@acme.example", "x, y", "Ada"\nb@acme.example, "z", Bo\n')
    found = [(row.contact.first_name, row.contact.properties["plan"]) for row in rows if isinstance(row, Row)]
    assert found == [("Ada", "x, y"), ("Bo", "z")]


def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    rows = read(tmp_path, b"email,plan\r\na@acme.example,x\rb@acme.example,y\nc@acme.example,z\r\n")
    assert [(row.line, isinstance(row, Row)) for row in rows] == [(2, True), (3, True), (4, True)]


def test_columns_without_a_name_at_the_end_may_be_missing_or_there(tmp_path: Path) -> None:
    rows = read(tmp_path, "email,plan,,\na@acme.example,x,,\nb@acme.example,y\nc@acme.example,z,,,,\n")
    assert all(isinstance(row, Row) for row in rows)


def test_a_very_long_cell_loses_its_row_only(tmp_path: Path) -> None:
    rows = read(tmp_path, "email,plan\na@acme.example," + "x" * 150_000 + "\nb@acme.example,y\n")
    assert [type(row).__name__ for row in rows] == ["Rejection", "Row"]
    quoted = read(tmp_path, 'email,plan\na@acme.example,"' + "x" * 150_000 + '"\nb@acme.example,y\n')
    assert isinstance(quoted[0], Rejection)
    assert "131,072 characters" in quoted[0].error


def test_characters_that_were_lost_before_are_told(tmp_path: Path) -> None:
    row = one(tmp_path, "email,first_name", "a@acme.example,J\ufffdrgen")
    assert isinstance(row, Rejection)
    assert "lost" in row.error


def test_numbers_without_a_country_are_read_by_the_one_that_is_given(tmp_path: Path) -> None:
    row = one(tmp_path, "email,phone,country", "a@acme.example,0151 12345678,", country="Deutschland")
    assert isinstance(row, Row)
    assert row.contact.phone == "+4915112345678"
    row = one(tmp_path, "email,phone,country", "a@acme.example,06 12 34 56 78,Frankreich", country="DE")
    assert isinstance(row, Row)
    assert (row.contact.phone, row.contact.country) == ("+33612345678", "FR")
    with pytest.raises(UnreadableTable, match="--country"):
        one(tmp_path, "email", "a@acme.example", country="Atlantis")


@pytest.mark.parametrize(
    ("said", "code"),
    [("Deutschland", "DE"), ("DEU", "DE"), ("中国", "CN"), ("España", "ES"), ("Espana", "ES"), ("u.s.a.", "US"),
     ("Česko", "CZ"), ("日本", "JP"), ("United Kingdom", "GB")],
)  # fmt: skip
def test_countries_go_by_their_names_in_many_languages(tmp_path: Path, said: str, code: str) -> None:
    row = one(tmp_path, "email,country", f"a@acme.example,{said}")
    assert isinstance(row, Row), row
    assert row.contact.country == code


@pytest.mark.parametrize(
    ("said", "tag"),
    [("German", "de"), ("Français", "fr"), ("中文", "zh"), ("en_US.UTF-8", "en-US"), ("zh_CN", "zh-CN")],
)
def test_languages_go_by_their_names(tmp_path: Path, said: str, tag: str) -> None:
    row = one(tmp_path, "email,locale,time_zone", f"a@acme.example,{said},Berlin")
    assert isinstance(row, Row), row
    assert (row.contact.locale, row.contact.time_zone) == (tag, "Europe/Berlin")


# What the columns are


def mapped(folder: Path, header: str, **said: str) -> list[str | None]:
    path = folder / "list.csv"
    path.write_text(f"{header}\n", encoding="utf-8")
    return CustomerFile(path, FIELDS, mapping=said).columns


def test_what_a_column_is_may_be_said(tmp_path: Path) -> None:
    assert mapped(tmp_path, "Kontakt,Paket,email", Kontakt="email", paket="plan") == ["email", "plan", None]
    assert mapped(tmp_path, "email,email", **{"#2": "-"}) == ["email", None]
    assert mapped(tmp_path, "Contact,Since when", **{"Contact": "E-Mail", "Since when": "Customer since"}) == [
        "email", "since",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"Adress": "email"}, "no column 'Adress'; found name, mail"),
        ({"name": "emial"}, "did you mean 'email'"),
        ({"#7": "email"}, "the file has 2 columns"),
    ],
)
def test_what_cannot_be_said_of_a_column_is_told(tmp_path: Path, said: dict[str, str], why: str) -> None:
    with pytest.raises(UnreadableTable, match=why) as error:
        mapped(tmp_path, "name,mail", **said)
    assert error.value.hint


def test_a_name_that_stands_twice_is_said_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match="2 columns are named 'mail'") as error:
        mapped(tmp_path, "mail,mail", mail="email")
    assert "#1 or #2" in (error.value.hint or "")


def test_a_file_of_rejected_rows_can_be_imported_once_it_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("line,field,reason,email\n2,email,wrong,a@acme.example\n", encoding="utf-8")
    file = CustomerFile(path, FIELDS)
    assert (file.columns, file.unknown) == ([None, None, None, "email"], {})


def test_rejected_rows_come_back_as_they_were_and_run_in_no_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email;plan;first_name\nada;=cmd|' /C calc'!A0;+49 (0)30\nbo;@SUM(1);-x\n", encoding="utf-8")
    rejects = Rejects()
    for row in CustomerFile(path, FIELDS):
        assert isinstance(row, Rejection)
        rejects.add(row)
    told = tmp_path / "list.rejects.csv"
    rejects.write(told, ["email", "plan", "first_name"])
    lines = told.read_bytes().decode().split("\r\n")
    assert lines[0] == "line,field,reason,email,plan,first_name"
    assert [line.rsplit(",", 2)[1:] for line in lines[1:3]] == [
        ["'=cmd|' /C calc'!A0", "+49 (0)30"],
        ["'@SUM(1)", "'-x"],
    ]
    told.write_text(told.read_text(encoding="utf-8").replace(",ada,", ",ada@acme.example,"), encoding="utf-8")
    corrected = [row for row in CustomerFile(told, FIELDS) if isinstance(row, Row)]
    assert [(row.contact.email, row.contact.properties) for row in corrected] == [
        ("ada@acme.example", {"plan": "=cmd|' /C calc'!A0"})
    ]


def test_rejected_rows_beyond_ascii_are_marked_for_spreadsheets(tmp_path: Path) -> None:
    rejects = Rejects()
    rejects.add(Rejection(2, [Mistake("email", "email is wrong")], ["jürgen"]))
    rejects.write(tmp_path / "told.csv", ["email"])
    assert (tmp_path / "told.csv").read_bytes().startswith(b"\xef\xbb\xbfline,field,reason,email\r\n")
