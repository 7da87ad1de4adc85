"""What somebody writes about a contact, in CSV or JSON, turned into a `Contact` with every value checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from activities.intake.places import (
    country_code,
    is_language,
    language_tag,
    near_country,
    near_zone,
    one_language,
    time_zone,
)
from activities.intake.shortcuts import is_filler, plain_email, plain_phone
from journeys.fields import Fields, yes_or_no
from journeys.nearest import unknown_word
from records.people.contacts import Contact

CHANNELS = ("email", "sms")
COLUMNS = (
    "external_id", "email", "phone", "first_name", "last_name", "country", "locale", "time_zone", "stage", "tags",
    *(f"consent_{channel}" for channel in CHANNELS),
)  # fmt: skip
"""The standard columns of an import, beside the declared fields."""

_LOCALE = re.compile(r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?(-[A-Za-z0-9]{5,8})*$")
_TAG = re.compile(r'(?<![^,;|\n])\s*"([^"]+)"\s*(?![^,;|\n])|([^,;|\n]+)')
SHORTEST_PHONE = 8
"""Characters of a number in E.164, the + included; shorter ones are services, not people."""
LONGEST_PHONE = 16
"""The most that E.164 allows; longer ones are two numbers."""
NO_ADDRESS = "and phone are both missing: there is no address to reach this contact"
"""What is wrong with the email of a contact who has neither."""
LONGEST = {"external_id": 200, "first_name": 200, "last_name": 200, "stage": 60}
"""Characters of a value, by column."""


class InvalidContactError(ValueError):
    """A contact that cannot be taken: what is wrong, by field (in the order of the columns)."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {problem}" for name, problem in problems.items()))
        self.problems = dict(problems)


def read_contact(
    values: Mapping[str, object], fields: Fields, *, relative_to: date | None = None, needs_address: bool = True
) -> Contact:
    """A contact from its columns; empty values say nothing. `relative_to` allows dates such as `+40d`.

    Raises InvalidContactError with everything that is wrong, also when there is neither an email nor a phone
    (unless `needs_address` is false: an update of somebody who is known).
    """
    said = {name: value for name, value in values.items() if value is not None and str(value).strip()}
    problems: dict[str, str] = {}
    columns: dict[str, str] = {}
    properties: dict[str, Any] = {}
    consents: dict[str, bool] = {}
    tags: tuple[str, ...] = ()

    def country() -> str | None:
        return columns.get("country")

    readers: dict[str, Callable[[str], str]] = {
        "country": read_country,
        "email": read_email,
        "phone": lambda text: read_phone(text, country()),
        "locale": read_locale,
        "time_zone": read_time_zone,
    }
    # The country comes first, because a phone number is read by it.
    for name in sorted(said, key=lambda name: name != "country"):
        value = said[name]
        try:
            if name in fields:
                properties[name] = fields[name].read(value, relative_to=relative_to)
            elif name == "tags":
                tags = read_tags(value)
            elif name.startswith("consent_") and name in COLUMNS:
                consents[name.removeprefix("consent_")] = value if isinstance(value, bool) else yes_or_no(str(value))
            elif name in COLUMNS:
                text = plain_text(value, LONGEST.get(name, 320))
                columns[name] = readers[name](text) if name in readers else text
            else:
                problems[name] = unknown_word(name, [*COLUMNS, *fields], "is no field of a contact")
        except ValueError as error:
            problems[name] = str(error)
    if needs_address and not (problems.keys() | columns.keys()) & {"email", "phone"}:
        problems["email"] = NO_ADDRESS
    if problems:
        raise InvalidContactError({name: problems[name] for name in [*values, "email"] if name in problems})
    return Contact(**columns, tags=tags, properties=properties, consents=consents)


def read_email(text: str) -> str:
    """A mail address by its form, in lower case; whether its domain exists is not asked. Raises ValueError."""
    if plain := plain_email(text):
        return plain
    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise ValueError(f"{text[:80]!r} is no mail address: {str(error)[:1].lower()}{str(error)[1:]}") from None


def read_phone(text: str, country: str | None = None) -> str:
    """A phone number in E.164; without `+` it is one of `country` (ISO 3166-1 alpha-2). Raises ValueError."""
    said, text = text[:80], f"+{text[2:]}" if text.startswith("00") else text
    if plain := plain_phone(text, country):
        return plain
    if not text.startswith("+") and country is None:
        raise ValueError(f"{said!r} has no country: write it with + and the country's code, or fill in country")
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise ValueError(f"{said!r} is no phone number: write it like +49 30 901820") from None
    if not text.startswith(("+", "0")) and (meant := _without_plus(text, country)) is not None:
        number = meant
    found = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    # Whether a number is valid is a matter of tables that age; its length is enough to tell a slip.
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or not SHORTEST_PHONE <= len(found) <= LONGEST_PHONE:
        raise ValueError(f"{said!r} is no phone number{f' of {country}' if country else ''}: its length is wrong")
    if is_filler(str(number.national_number)) and not phonenumbers.is_valid_number(number):
        raise ValueError(f"{said!r} is nobody's number: leave it out")
    return found


def _without_plus(text: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    """The number when it begins with the code of its own country, from which the + was lost."""
    digits = re.sub(r"\D", "", text)
    if not digits.startswith(str(phonenumbers.country_code_for_region(country or "") or "+")):
        return None
    number = phonenumbers.parse(f"+{digits}")
    return number if phonenumbers.is_valid_number(number) else None


def read_country(text: str) -> str:
    """A country's code of two letters (ISO 3166-1), from a code or a name in any language. Raises ValueError."""
    code = country_code(text)
    if code is None:
        near = near_country(text)
        meant = f"; did you mean {near[1]} ({near[0]})?" if near else ""
        raise ValueError(f"{text!r} is no country: write two letters (ISO 3166-1), such as CN or DE{meant}")
    return code


def read_locale(text: str) -> str:
    """A language tag (BCP 47) such as en or zh-CN; `zh_CN`, `deu` and `German` are read too. Raises ValueError."""
    if named := language_tag(text):
        return named
    tag = text.strip().partition(".")[0].replace("_", "-")
    language, *rest = tag.split("-")
    language = one_language(language.lower())
    if not _LOCALE.match(tag) or not is_language(language):
        raise ValueError(f"{text!r} is no language tag (BCP 47): write it like en or zh-CN")
    spelled = [part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part for part in rest]
    return "-".join([language, *spelled])


def read_time_zone(text: str) -> str:
    """A time zone of the IANA database, such as Asia/Shanghai; its name in Windows and whole hours from UTC are read
    too. Raises ValueError."""
    if zone := time_zone(text):
        return zone
    near = near_zone(text)
    meant = f"; did you mean {near}?" if near else ": write it like Europe/Berlin"
    raise ValueError(f"{text!r} is no time zone (IANA){meant}")


def read_tags(value: object) -> tuple[str, ...]:
    """Tags: a list, or text with commas, semicolons or bars between them, or in quotes. Raises ValueError."""
    if isinstance(value, list | tuple):
        words = [str(word) for word in value]
    else:
        found = _TAG.findall(str(value).strip("[]").replace(":::", "\n"))
        words = [quoted or plain for quoted, plain in found]
    tags = tuple(dict.fromkeys(tag for word in words if (tag := word.strip().strip("\"'").strip())))
    if wrong := next((tag for tag in tags if len(tag) > 60), None):
        raise ValueError(f"{wrong[:20]!r}... is longer than 60 characters")
    return tags


def plain_text(value: object, longest: int) -> str:
    """Text of one line and not too long, without blanks around it. Raises ValueError."""
    if isinstance(value, bool | float | list | dict):
        raise ValueError(f"must be text, found {value!r}")
    text = str(value).strip()
    if len(text) > longest:
        raise ValueError(f"has {len(text):,} characters; at most {longest:,}")
    if not text.isprintable() and any(ord(character) < 32 for character in text):
        raise ValueError("holds line breaks or control characters")
    return text
