"""The usual mail address and the usual phone number, read at once; whatever is not plain is left to the libraries.

email-validator and phonenumbers take 30 to 100 microseconds for a value: a minute and a half for a million contacts.
What these functions answer is what the libraries answer (tests/unit/test_shortcuts.py); they may only say less.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneMetadata

LONGEST_PLAIN_EMAIL = 200
_LOCAL = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*", re.ASCII)
_LONGEST_LOCAL = 64
_SEPARATORS = str.maketrans("", "", " -./()")
_ASCII_DIGITS = re.compile(r"[0-9]+")


def plain_email(text: str) -> str | None:
    """The address in lower case as email-validator normalises it; None when only the library can tell."""
    lower = text.lower()
    local, _, domain = lower.partition("@")
    if len(lower) > LONGEST_PLAIN_EMAIL or len(local) > _LONGEST_LOCAL or not text.isascii():
        return None
    return lower if _LOCAL.fullmatch(local) and _known(domain) else None


@lru_cache(maxsize=20_000)
def _known(domain: str) -> bool:
    """Whether the library takes the domain and leaves it as it is."""
    try:
        return validate_email(f"x@{domain}", check_deliverability=False).normalized == f"x@{domain}"
    except EmailNotValidError:
        return False


class _Plan(NamedTuple):
    """What the numbers of a calling code look like: national prefixes to be taken off, lengths, the numbers."""

    prefix: re.Pattern[str] | None
    lengths: frozenset[int]
    viable: re.Pattern[str]
    trunk: str


def plain_phone(text: str, country: str | None) -> str | None:
    """The number in E.164 as phonenumbers formats it, when it is a possible one; None when only the library can tell.

    `country` (ISO 3166-1 alpha-2) is whose numbers those without + are.
    """
    international = text.startswith("+")
    digits = text[international:].translate(_SEPARATORS)
    if not _ASCII_DIGITS.fullmatch(digits) or not 6 < len(digits) < 16:
        return None
    if international:
        code = next((digits[:size] for size in (1, 2, 3) if _is_code(digits[:size])), None)
        plan = _plan(code) if code else None
        national = digits[len(code) :] if code else ""
    else:
        dialling = _dialling(country) if country else None
        if dialling is None:
            return None
        code, outward = dialling
        plan = _plan(code)
        if outward.match(digits) or digits.startswith(code):
            return None
        national = digits
    if plan is None or code is None:
        return None
    if plan.prefix is not None and plan.prefix.match(national):
        # A trunk prefix of one 0 is all that is taken off here.
        if not plan.trunk or not national.startswith(plan.trunk):
            return None
        rest = national[len(plan.trunk) :]
        if plan.viable.fullmatch(national) or len(rest) not in plan.lengths:
            return None
        national = rest
    if national.startswith("0") or len(national) not in plan.lengths or is_filler(national):
        return None
    return f"+{code}{national}" if len(code) + len(national) >= 7 else None


def is_filler(national: str) -> bool:
    """Whether a number is what people type where one is asked for: 9999999999, 1234567890. Some of these are real."""
    return national.count(national[0]) == len(national) or national in "01234567890123456789"


@lru_cache(maxsize=2_000)
def _is_code(digits: str) -> bool:
    return not digits.startswith("0") and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


@lru_cache(maxsize=1_000)
def _plan(code: str) -> _Plan | None:
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    desc = metadata.general_desc if metadata is not None else None
    if metadata is None or desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    trunk = "0" if prefix == "0" and not metadata.national_prefix_transform_rule else ""
    return _Plan(
        re.compile(prefix) if prefix else None,
        frozenset(desc.possible_length),
        re.compile(desc.national_number_pattern or "(?!)"),
        trunk,
    )


@lru_cache(maxsize=1_000)
def _dialling(country: str) -> tuple[str, re.Pattern[str]] | None:
    """The calling code of a country, and what is dialled there before foreign ones."""
    metadata = PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or metadata.country_code is None:
        return None
    return str(metadata.country_code), re.compile(metadata.international_prefix or "(?!)")
