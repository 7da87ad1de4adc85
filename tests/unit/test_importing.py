"""CSV files as people really send them: what can be read is read, the rest is told with its line."""

from datetime import date
from pathlib import Path

import pytest

from activities.intake.importing import CustomerFile, Rejection, Row
from activities.intake.tabular import UnreadableTable
from journeys.fields import Field, parse_fields
from journeys.source import InvalidFile

FIELDS = {
    "plan": Field("plan", "text", "Plan"),
    "renewal_date": Field("renewal_date", "date", "Renewal date"),
    "lifetime_value": Field("lifetime_value", "number", "Lifetime value"),
    "seen_at": Field("seen_at", "datetime", "Last seen"),
    "vip": Field("vip", "boolean", "VIP"),
}
HEADER = "external_id,email,first_name\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def opened(folder: Path, content: str | bytes, relative_to: date | None = None) -> CustomerFile:
    path = folder / "people.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CustomerFile(path, FIELDS, relative_to=relative_to)


def read(folder: Path, content: str | bytes, relative_to: date | None = None) -> list[Row | Rejection]:
    return list(opened(folder, content, relative_to))


def rows(folder: Path, content: str | bytes) -> list[Row]:
    return [row for row in read(folder, content) if isinstance(row, Row)]


def rejections(folder: Path, content: str | bytes) -> list[Rejection]:
    return [row for row in read(folder, content) if isinstance(row, Rejection)]


def names(folder: Path, content: str | bytes) -> list[str | None]:
    return [row.contact.first_name for row in rows(folder, content)]


def reasons(folder: Path, header: str, *lines: str) -> dict[int, str]:
    return {one.line: one.error for one in rejections(folder, "\n".join([header, *lines]) + "\n")}


# How it is written


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_is_read_in_every_usual_encoding(folder: Path, encoding: str) -> None:
    text = HEADER + "1,li@acme.example,李小龙\n2,wang@acme.example,王芳\n"
    assert names(folder, text.encode(encoding)) == ["李小龙", "王芳"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_accented_letters_are_read_in_latin_1(folder: Path, encoding: str) -> None:
    text = HEADER + "1,a@acme.example,Jürgen\n2,b@acme.example,José\n3,c@acme.example,Renée\n"
    assert names(folder, text.encode(encoding)) == ["Jürgen", "José", "Renée"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(folder: Path, delimiter: str) -> None:
    assert names(folder, f"email{delimiter}first_name\na@acme.example{delimiter}Ada\n") == ["Ada"]


def test_a_line_that_names_the_delimiter_as_excel_writes_it_is_followed(folder: Path) -> None:
    assert names(folder, "sep=;\nemail;first_name\na@acme.example;Ada\n") == ["Ada"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(folder: Path, end: str) -> None:
    assert names(folder, f"email,first_name{end}a@acme.example,Ada{end}b@acme.example,Bo{end}") == ["Ada", "Bo"]


def test_headers_are_known_by_many_names(folder: Path) -> None:
    table = opened(folder, "ID,E-Mail,Mobile,Vorname,Surname,Time Zone,Renewal date,邮件许可\n1,a@acme.example,,,,,,\n")
    assert table.columns == [
        "external_id", "email", "phone", "first_name", "last_name", "time_zone", "renewal_date", "consent_email",
    ]  # fmt: skip


def test_an_unknown_column_is_told_with_the_nearest_known_one(folder: Path) -> None:
    table = opened(folder, "email,renewal_day,shoe size\na@acme.example,x,y\n")
    assert table.unknown == {"renewal_day": "renewal_date", "shoe size": None}


def test_a_slip_of_the_pen_in_a_header_is_understood_and_told(folder: Path) -> None:
    table = opened(folder, "emial_address,renewal_dat,plan2\na@acme.example,2026-03-01,\n")
    assert table.columns == ["email", "renewal_date", None]
    assert table.mapping.guessed == {"emial_address": "email", "renewal_dat": "renewal_date"}


# What is no table


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "is empty"),
        (b"PK\x03\x04rest of a workbook", "Excel workbook"),
        (b"%PDF-1.7", "a PDF"),
        (b"a@acme.example,Ada\n", "is no header"),
        (b"first_name,plan\nAda,home\n", "no column is an email or a phone"),
        (b"email,email\na@acme.example,b@acme.example\n", "both mean email"),
    ],
)
def test_a_file_that_is_no_table_of_customers_is_refused_whole(folder: Path, content: bytes, why: str) -> None:
    with pytest.raises(UnreadableTable, match=why) as error:
        opened(folder, content)
    assert error.value.hint


def test_a_file_that_is_not_there_is_told_in_one_line(folder: Path) -> None:
    with pytest.raises(UnreadableTable, match="No such file"):
        CustomerFile(folder / "missing.csv", FIELDS)


# What is broken inside


def test_a_quote_that_is_never_closed_loses_one_row_only(folder: Path) -> None:
    text = HEADER + '1,a@acme.example,Ada\n2,"b@acme.example,Bo\n3,c@acme.example,Cy\n4,d@acme.example,"Di"\n'
    assert names(folder, text) == ["Ada", "Cy", "Di"]
    assert [(one.line, "quote" in one.error) for one in rejections(folder, text)] == [(3, True)]


def test_a_quote_in_the_wrong_place_loses_one_row_only(folder: Path) -> None:
    text = HEADER + '1,a@acme.example,"Ada" the first\n2,b@acme.example,Bo\n'
    assert names(folder, text) == ["Bo"]
    assert [one.line for one in rejections(folder, text)] == [2]


def test_a_line_break_inside_quotes_is_part_of_the_cell_and_lines_still_count_right(folder: Path) -> None:
    text = 'email,plan\na@acme.example,"two\nlines"\nbroken,x\n'
    assert [row.contact.properties["plan"] for row in rows(folder, text)] == ["two\nlines"]
    assert [one.line for one in rejections(folder, text)] == [4]


def test_too_many_and_too_few_columns_are_told_by_line(folder: Path) -> None:
    text = HEADER + "1,a@acme.example\n2,b@acme.example,Bo,more\n3,c@acme.example,Cy\n"
    assert names(folder, text) == ["Cy"]
    assert [(one.line, one.error) for one in rejections(folder, text)] == [
        (2, "has 2 columns where the header has 3"),
        (3, "has 4 columns where the header has 3"),
    ]


def test_empty_cells_at_the_end_are_no_columns_too_many(folder: Path) -> None:
    assert names(folder, HEADER + "1,a@acme.example,Ada,,\n") == ["Ada"]


def test_nul_bytes_are_told_by_line(folder: Path) -> None:
    text = HEADER + "1,a@acme.example,A\x00da\n2,b@acme.example,Bo\n"
    assert names(folder, text) == ["Bo"]
    assert "NUL" in rejections(folder, text)[0].error


def test_a_few_bytes_of_another_encoding_lose_their_row_only(folder: Path) -> None:
    text = (HEADER + "1,a@acme.example,李\n2,b@acme.example,王\n").encode() + b"3,c@acme.example,J\xfcrgen\n"
    assert names(folder, text) == ["李", "王"]
    assert "not UTF-8" in rejections(folder, text)[0].error


def test_blank_lines_are_left_out(folder: Path) -> None:
    assert names(folder, HEADER + "\n1,a@acme.example,Ada\n , ,\n\n2,b@acme.example,Bo\n\n") == ["Ada", "Bo"]


def test_a_line_without_end_is_told_and_the_next_is_read(folder: Path) -> None:
    text = HEADER + "1,a@acme.example," + "x" * 2_000_000 + "\n2,b@acme.example,Bo\n"
    assert names(folder, text) == ["Bo"]
    assert [one.line for one in rejections(folder, text)] == [2]


# What the values are


def test_a_contact_without_any_address_is_rejected(folder: Path) -> None:
    assert "no address" in reasons(folder, "email,phone,first_name", ",,Ada")[2]
    assert "no address" in reasons(folder, "external_id,email,phone", "c1,,")[2]
    assert reasons(folder, "external_id,email,other_email", "c1,,ada@acme.example") == {}


def ids(folder: Path, content: str) -> list[str | None]:
    return [row.contact.external_id for row in rows(folder, content)]


def test_in_a_list_without_addresses_ids_say_who_somebody_is(folder: Path) -> None:
    """Histories of orders name their customers by numbers, and by nothing else."""
    text = "CustomerID,Country\n00001,GB\n17850.0,DE\n,FR\n"
    assert ids(folder, text) == ["00001", "17850"]
    assert [(one.line, one.fields) for one in rejections(folder, text)] == [(4, "external_id")]
    assert ids(folder, "customer,first_name\n7,Ada\n") == ["7"]


def test_a_customer_beside_an_address_is_no_id(folder: Path) -> None:
    """It may as well be a company: two who work there are not one person."""
    assert ids(folder, "customer,email\nAcme,a@acme.example\nAcme,b@acme.example\n") == [None, None]


def test_everything_that_is_wrong_with_a_row_is_told_mistake_by_mistake(folder: Path) -> None:
    [one] = rejections(folder, "email,country,time_zone\nnobody,Germny,Europe/Berln\n")
    assert one.fields == "email, country, time_zone"
    assert [(mistake.field, mistake.error.partition(" ")[0]) for mistake in one.mistakes] == [
        ("email", "email"), ("country", "country"), ("time_zone", "time_zone"),
    ]  # fmt: skip
    assert "did you mean DE" in one.mistakes[1].error
    assert one.error == "; ".join(mistake.error for mistake in one.mistakes)


@pytest.mark.parametrize(
    ("header", "line", "fields"),
    [
        ("email,phone,country", ",,Germny", ["country", "email"]),
        ("email,phone,country", "nobody,,Germny", ["email", "country"]),
        ("email,other_email,plan", ",nobody,", ["other_email"]),
        ("external_id,country", ",Germny", ["country", "external_id"]),
        ("email,other_email,other_email", "nobody,n,m", ["email", "other_email", "other_email"]),
    ],
)
def test_a_row_that_names_nobody_is_told_so_besides_what_else_is_wrong(
    folder: Path, header: str, line: str, fields: list[str]
) -> None:
    """A name that cannot be read is not missing, too."""
    [one] = rejections(folder, f"{header}\n{line}\n")
    assert [mistake.field for mistake in one.mistakes] == fields


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("email", "ada@", "no mail address"),
        ("email", "ada@acme", "no mail address"),
        ("phone", "030 901820", "has no country"),
        ("phone", "+49 12", "length is wrong"),
        ("phone", "call me", "has no country"),
        ("country", "XX", "no country"),
        ("locale", "chinese please", "BCP 47"),
        ("time_zone", "CEST+1", "no time zone"),
        ("consent_email", "maybe", "neither yes nor no"),
        ("renewal_date", "2026-02-30", "no day that exists"),
        ("renewal_date", "03/04/2026", "can be read in two ways"),
        ("renewal_date", "0026-01-01", "between 1900 and 2200"),
        ("renewal_date", "+40d", "is relative"),
        ("lifetime_value", "1,5 Mio", "no number"),
        ("lifetime_value", "inf", "no number"),
        ("seen_at", "2026-03-01T09:30:00", "no time zone"),
        ("vip", "perhaps", "neither yes nor no"),
        ("first_name", "x" * 300, "at most 200"),
        ("tags", "y" * 61, "longer than 60"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_column(folder: Path, column: str, value: str, why: str) -> None:
    other = "phone" if column == "email" else "email"
    address = "+12025550143" if other == "phone" else "ada@acme.example"
    found = reasons(folder, f"{other}\t{column}", f"{address}\t{value}")
    assert column in found[2]
    assert why in found[2]


def test_values_are_brought_to_one_spelling(folder: Path) -> None:
    header = (
        "email;phone;country;locale;time_zone;tags;consent_email;consent_sms;renewal_date;lifetime_value;seen_at;vip\n"
    )
    line = "Ada@Acme.EXAMPLE;030 901820;germany;zh_hans_cn;europe/berlin;a, b|a;是;no;24.12.2026;1500;"
    line += "2026-03-01T09:30Z;yes\n"
    [row] = rows(folder, header + line)
    contact = row.contact
    assert (contact.email, contact.phone, contact.country) == ("ada@acme.example", "+4930901820", "DE")
    assert (contact.locale, contact.time_zone, tuple(contact.tags)) == ("zh-Hans-CN", "Europe/Berlin", ("a", "b"))
    assert contact.consents == {"email": True, "sms": False}
    assert contact.properties == {
        "renewal_date": "2026-12-24", "lifetime_value": 1500, "seen_at": "2026-03-01T09:30:00+00:00", "vip": True,
    }  # fmt: skip


def test_relative_dates_are_read_when_there_is_a_day_to_count_from(folder: Path) -> None:
    text = "email,renewal_date\na@acme.example,+40d\nb@acme.example,-120d\n"
    found = read(folder, text, relative_to=date(2026, 3, 1))
    assert [row.contact.properties["renewal_date"] for row in found if isinstance(row, Row)] == [
        "2026-04-10",
        "2025-11-01",
    ]


# The declared fields


def test_declared_fields_have_types_and_titles() -> None:
    fields = parse_fields("fields:\n  plan: {type: text, title: The plan}\n  last_order_at: {type: date}\n")
    assert fields["plan"] == Field("plan", "text", "The plan")
    assert fields["last_order_at"].title == "Last order at"


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("fields:\n  plan: {type: txt}\n", ":2:", "text"),
        ("fields:\n  plan: {typ: text}\n", ":2:", "type"),
        ("fields:\n  email: {type: text}\n", ":", "already"),
        ("fields:\n\tplan: {type: text}\n", ":2:", "tab"),
        ("felds: {}\n", ":1:1:", "fields"),
    ],
)
def test_a_wrong_declaration_is_told_with_file_and_line(text: str, place: str, why: str) -> None:
    with pytest.raises(InvalidFile) as error:
        parse_fields(text, "fields.yaml")
    assert f"fields.yaml{place}" in error.value.message
    assert why in error.value.message
