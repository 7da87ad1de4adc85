"""The columns of exports as CRMs, shops and address books name them, in many languages."""

from pathlib import Path

import pytest

from activities.intake.importing import CustomerFile
from activities.intake.tabular import UnreadableTable
from journeys.fields import Field

FIELDS = {"company": Field("company", "text", "Company"), "birthday": Field("birthday", "date", "Birthday")}
EXPORTS = {
    "Salesforce": (
        (
            "Id,AccountId,LastName,FirstName,Name,MailingCountry,Phone,MobilePhone,HomePhone,Fax,Email,Birthdate,"
            "HasOptedOutOfEmail"
        ),
        "external_id,,last_name,first_name,,country,phone,other_phone,,,email,birthday,unsubscribed_email",
    ),
    "HubSpot": (
        (
            "Record ID,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Contact owner,Lifecycle Stage,"
            "Country/Region,Time Zone"
        ),
        "external_id,first_name,last_name,email,other_phone,phone,,stage,country,time_zone",
    ),
    "HubSpot by now": (
        "Record ID - Contact,First Name,Last Name,Email,Phone Number,Additional email addresses,Secondary Phone",
        "external_id,first_name,last_name,email,phone,other_email,other_phone",
    ),
    "Mailchimp": (
        "Email Address,First Name,Last Name,Phone Number,Birthday,MEMBER_RATING,OPTIN_TIME,TIMEZONE,CC,TAGS",
        "email,first_name,last_name,phone,birthday,,,time_zone,,tags",
    ),
    "Outlook": (
        (
            "Title,First Name,Middle Name,Last Name,Company,Business Phone,Home Phone,Mobile Phone,E-mail Address,"
            "E-mail Type,E-mail 2 Address,Language"
        ),
        ",first_name,,last_name,company,,,phone,email,,other_email,locale",
    ),
    "Outlook in German": (
        "Vorname;Nachname;Firma;Telefon geschäftlich;Mobiltelefon;E-Mail-Adresse;E-Mail 2: Adresse;Geburtstag",
        "first_name,last_name,company,,phone,email,other_email,birthday",
    ),
    "Google": (
        (
            "First Name,Last Name,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Value,"
            "Phone 2 - Value,Address 1 - Country"
        ),
        "first_name,last_name,tags,,email,other_email,phone,other_phone,country",
    ),
    "a German shop": (
        "Kundennummer;Vorname;Name;E-Mail;Telefon;Mobil;Land;Geburtsdatum;Newsletter;Umsatz",
        "external_id,first_name,last_name,email,other_phone,phone,country,birthday,consent_email,",
    ),
    "French": (
        "N° client;Prénom;Nom;Adresse e-mail;Téléphone;Pays;Langue",
        "external_id,first_name,last_name,email,phone,country,locale",
    ),
    "Spanish": (
        "ID de cliente;Nombre;Apellidos;Correo electrónico;Teléfono;País",
        "external_id,first_name,last_name,email,phone,country",
    ),
    "Chinese": (
        "客户编号,姓名,邮箱,手机号码,国家/地区,生日",
        "external_id,full_name,email,phone,country,birthday",
    ),
    "Japanese": ("顧客ID,姓,名,メールアドレス,電話番号,国", "external_id,last_name,first_name,email,phone,country"),
    "Russian": ("Имя;Фамилия;Эл. почта;Телефон;Страна", "first_name,last_name,email,phone,country"),
    "one name": ("Name,E-Mail,Tel.", "full_name,email,phone"),
    "an id for rows, too": ("ID,Customer ID,Email", ",external_id,email"),
    "only a number at work": ("Name,Work Phone", "full_name,phone"),
}  # fmt: skip


def columns(folder: Path, text: str, **said: str) -> list[str | None]:
    path = folder / "list.csv"
    path.write_text(text if "\n" in text else f"{text}\n", encoding="utf-8")
    return CustomerFile(path, FIELDS, mapping=said).columns


def test_further_addresses_may_stand_in_as_many_columns_as_there_are(tmp_path: Path) -> None:
    header = "Mail,Other email,Second email,Other email"
    assert columns(tmp_path, header) == ["email", "other_email", "other_email", "other_email"]
    assert columns(tmp_path, header, **{"#2": "other_email"}) == columns(tmp_path, header)


@pytest.mark.parametrize(("header", "meant"), EXPORTS.values(), ids=EXPORTS.keys())
def test_the_columns_of_an_export_are_known(tmp_path: Path, header: str, meant: str) -> None:
    assert columns(tmp_path, header) == [name or None for name in meant.split(",")]


def test_a_column_that_is_left_out_says_what_it_might_be(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email,Mobile,Home Phone,E-mail Typ,frist_nam\n", encoding="utf-8")
    found = CustomerFile(path, FIELDS)
    assert found.unknown == {"Home Phone": "other_phone", "E-mail Typ": None, "frist_nam": "first_name"}


def test_what_a_declared_field_is_called_goes_before_what_the_word_means_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email,Status,Name\n", encoding="utf-8")
    fields = {"status": Field("status", "text", "Status"), "name": Field("name", "text", "Name")}
    assert CustomerFile(path, fields).columns == ["email", "status", "name"]


def test_a_name_that_stands_twice_is_refused_and_may_be_said_to_be_a_further_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match="both mean email") as error:
        columns(tmp_path, "email,email")
    assert "--map '#2=other_email'" in (error.value.hint or "")
    assert columns(tmp_path, "email,email", **{"#2": "other_email"}) == ["email", "other_email"]


def test_a_column_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match="names the column 'E-Mail' twice"):
        columns(tmp_path, "E-Mail,x", **{"e-mail": "email", "#1": "phone"})


def test_titles_above_the_header_are_passed_over(tmp_path: Path) -> None:
    text = "Contacts\nas of 2026-11-01;;\n# from the CRM\n\nE-Mail;Vorname;Kommentar\na@acme.example;Ada;x, y\n"
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    file = CustomerFile(path, FIELDS)
    assert file.columns == ["email", "first_name", None]
    assert [row.line for row in file] == [6]


def test_a_column_of_addresses_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("Kto,Gdzie\nAda,a@acme.example\nBo,\nCy,c@acme.example\n", encoding="utf-8")
    file = CustomerFile(path, FIELDS)
    assert (file.columns, file.mapping.guessed) == ([None, "email"], {"Gdzie": "email"})


def test_a_list_without_a_header_is_read_when_its_columns_are_said_by_number(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("a@acme.example,Ada,17\nb@acme.example,Bo,18\n", encoding="utf-8")
    with pytest.raises(UnreadableTable, match="no header") as error:
        CustomerFile(path, FIELDS)
    assert "--map '#1=email'" in (error.value.hint or "")
    file = CustomerFile(path, FIELDS, mapping={"#1": "email", "#2": "first_name"})
    assert file.header == ["email", "first_name", "column 3"]
    assert [row.line for row in file] == [1, 2]


def test_numbers_of_columns_mean_those_of_the_list_also_in_a_file_of_rejected_rows(tmp_path: Path) -> None:
    text = "line,field,reason,Kto,Gdzie\n7,email,wrong,Ada,a@acme.example\n"
    assert columns(tmp_path, text, **{"#2": "email"}) == [None, None, None, None, "email"]
