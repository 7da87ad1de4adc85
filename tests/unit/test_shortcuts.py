"""What is read at once is read as the libraries read it: checked against them, on made-up and on real forms."""

import string

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.intake.shortcuts import plain_email, plain_phone

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
DOMAINS = ["acme.example", "a.test", "mail.co.uk", "xn--bcher-kva.example", "bücher.example", "-a.example", "localhost"]


def by_library(text: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return found if phonenumbers.is_possible_number(number) and len(found) >= 8 else None


def address_by_library(text: str) -> str | None:
    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, str | None]:
    """Numbers like those of real countries, and others, with separators anywhere."""
    country = draw(st.sampled_from(REGIONS))
    example = phonenumbers.example_number(country)
    national = str(example.national_number) if example is not None else "12345678"
    cut = draw(st.integers(0, 3))
    digits = national[: len(national) - cut] + draw(st.text(string.digits, max_size=4))
    code = phonenumbers.country_code_for_region(country)
    begin = draw(st.sampled_from(["", "0", "1", "8", "00", "011", f"+{code}", f"+{code}0", f"{code}", "+", "+1"]))
    begin = draw(st.sampled_from([begin, f"+{draw(st.sampled_from(CODES))}"]))
    text = begin + digits
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(1, len(text)))
        text = text[:at] + draw(st.sampled_from(" -./()")) + text[at:]
    return text, draw(st.sampled_from([country, None]))


@given(numbers())
@settings(max_examples=1000, deadline=None)
def test_a_number_that_is_read_at_once_is_what_phonenumbers_reads(number: tuple[str, str | None]) -> None:
    found = plain_phone(*number)
    assert found is None or found == by_library(*number)


@given(
    st.one_of(
        st.text(max_size=12),
        st.text(string.ascii_letters + string.digits + "._+-'\"\\ !", max_size=70),
    ),
    st.one_of(st.sampled_from(DOMAINS), st.text(string.ascii_letters + string.digits + ".-_", max_size=40), st.text()),
)
@settings(max_examples=1000, deadline=None)
def test_an_address_that_is_read_at_once_is_what_email_validator_reads(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    found = plain_email(text)
    assert found is None or found == address_by_library(text)


@pytest.mark.parametrize(
    ("text", "country", "found"),
    [
        ("+49 151 12345678", None, "+4915112345678"),
        ("0151/12345678", "DE", "+4915112345678"),
        ("138 0013 8000", "CN", "+8613800138000"),
        ("(202) 555-0143", "US", "+12025550143"),
        ("06.12.34.56.78", "FR", "+33612345678"),
    ],
)
def test_usual_numbers_are_read_at_once(text: str, country: str | None, found: str) -> None:
    assert plain_phone(text, country) == found


@pytest.mark.parametrize("text", ["Ada.Byron+news@Acme.EXAMPLE", "a_b-c@mail.co.uk"])
def test_usual_addresses_are_read_at_once(text: str) -> None:
    assert plain_email(text) == text.lower()
