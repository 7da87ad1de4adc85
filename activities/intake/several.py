"""Several addresses or numbers in one cell, as CRMs and address books export them: `a@x.com; b@x.com`.

What stands between two of them also stands inside one: a comma in `Byron, Ada <a@x.com>`, a slash in `030/123456`. So a
mark counts only where there is an address, or a whole number, on both sides of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate

import phonenumbers

from activities.intake import cells

MOST = 20
"""Values that one cell may hold: more are a list of people, not a person."""
_WORD = r"(?i:and|or|und|oder|et|ou|&)"
_ALWAYS = r"(?P<always>[;|\n\r\t、]|:::)"
# How many blanks may stand in a row is bounded, so that no cell takes long.
_BETWEEN_EMAILS = re.compile(
    rf'"[^"]*"|<[^<>]*>|\([^()]*\)|{_ALWAYS}|(?P<comma>,)(?=\s|[^\s@,;|]*@)'
    rf"|(?P<both>\s{{0,9}}/\s{{0,9}}|\s{{1,9}}{_WORD}\s{{1,9}})|(?P<blank>\s{{1,9}})(?=[^\s@,;|/<>]+@)"
)
_BETWEEN_NUMBERS = re.compile(
    rf'"[^"]*"|{_ALWAYS}|(?P<plus>(?<=[\d)])[\s/,]{{0,9}}(?=\+\d)|[\s/,]{{1,9}}(?=\+\d))'
    rf"|(?P<zeros>\s{{0,9}}/\s{{0,9}})(?=00\d)|(?P<comma>,|\s{_WORD}\s)(?=(?P<next>[^,;|\n/]*))"
)
_WIDE_SLASH = re.compile(r"\s{1,9}/\s{1,9}")
LONGEST = 10_000
"""Characters of a cell that is looked at."""
_BRACKETS = {"[": "]", "{": "}"}
_LEAST_DIGITS = 6
"""Digits that somebody's number has at least, where a comma stands beside it."""
_WHOLE = 7
"""The same for a slash, which stands behind area codes, too."""
_LONGEST = 15
"""Digits of the longest number."""
_COMPLETE = re.compile(r"\D*(?:\+|0)")
"""How a number begins that is dialled as it stands, in countries where those of other towns begin with 0."""
_BELONGS = re.compile(
    r"\s*(?:(?:ext|extn|extension|x|isub|postd|dw|durchwahl)[.:=\s]*\d{1,6}\b[^;|\n]*|phone-context=[^;]*)",
    re.IGNORECASE,
)  # fmt: skip


def each(
    text: str, split: Callable[[str], list[str]], nothing: frozenset[str], read: Callable[[str], str]
) -> str | tuple[str, ...] | None:
    """What a cell holds: nothing, one value or several, each once. `nothing`: words that say nothing.

    Raises ValueError, as `read` does for the part that is wrong, and when there are too many.
    """
    if len(text) > LONGEST:
        raise ValueError(f"has {len(text):,} characters; at most {LONGEST:,}")
    parts = split(text)
    if len(parts) == 1:
        # All of them may be in quotes.
        plain = cells.tidy(text, nothing=nothing)
        parts = [] if plain is None else split(plain)
    said = [part for one in parts if (part := cells.tidy(one, nothing=nothing)) is not None]
    if len(said) > MOST:
        raise ValueError(f"holds {len(said)} values; at most {MOST} are one person's")
    found = tuple(dict.fromkeys(map(read, said)))
    return found if len(found) > 1 else found[0] if found else None


def emails(text: str) -> list[str]:
    """The parts of a cell of mail addresses, with their names and remarks."""
    text = _bare(text)
    if text.count("@") == 1 and "?" in text:
        # mailto:a@x.com?subject=This, and that
        return [text]
    parts, begin = [], 0
    for found in _BETWEEN_EMAILS.finditer(text):
        mark, before = found.lastgroup, text[begin : found.start()]
        behind = text[found.end() :]
        if mark == "comma":
            apart = "@" in before or "<" not in behind
        else:
            apart = mark == "always" or (mark is not None and "@" in before and "@" in behind)
        if apart:
            parts.append(before)
            begin = found.end()
    return [*parts, text[begin:]]


def phones(text: str, country: str | None) -> list[str]:
    """The parts of a cell of phone numbers, with remarks and extensions; those without + are of `country`.

    Raises ValueError where one that stands behind whole numbers has no area code: it would be somebody else's.
    """
    text = _bare(text)
    digits = [0, *accumulate(map(str.isdigit, text))]
    parts, begin = [], 0
    for found in _BETWEEN_NUMBERS.finditer(text):
        mark, least = found.lastgroup, digits[found.start()] - digits[begin]
        if mark == "next":
            least = min(least, digits[found.end("next")] - digits[found.start("next")])
        if mark == "always" or (mark is not None and least >= _LEAST_DIGITS):
            parts.append(text[begin : found.start()])
            begin = found.end()
    parts = [part for part in (*parts, text[begin:]) if not _BELONGS.fullmatch(part)]
    numbers = [half for part in parts for half in _halves(part, country)]
    if country and len(numbers) > 1 and _COMPLETE.match(numbers[0]):
        local = next((number for number in numbers[1:] if _is_local(number, country)), None)
        if local is not None:
            raise ValueError(f"{local.strip()[:80]!r} has no area code: write it in full")
    return numbers


def _is_local(part: str, country: str) -> bool:
    """Whether a number may lack its area code: it has no 0 before it, and is none that has no area, as mobile ones."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or metadata.national_prefix != "0" or not _digits(part) or _COMPLETE.match(part):
        return False
    number = _number(part, country)
    if number is None:
        return True
    says_country = re.sub(r"\D", "", part).startswith(str(number.country_code))
    valid = phonenumbers.is_valid_number(number)
    return not valid or (
        not says_country and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE
    )


def _halves(part: str, country: str | None) -> list[str]:
    """The numbers before and behind a slash, which is otherwise a part of one: what is valid as one is one."""
    halves = _WIDE_SLASH.split(part)
    if len(halves) == 1 or min(map(_digits, halves)) < _WHOLE:
        halves = part.split("/")
    if len(halves) == 1 or min(map(_digits, halves)) < _WHOLE or _is_valid(part, country):
        return [part]
    return halves if _digits(part) > _LONGEST or all(_is_valid(half, country) for half in halves) else [part]


def _is_valid(text: str, country: str | None) -> bool:
    number = _number(text, country)
    return number is not None and phonenumbers.is_valid_number(number)


def _number(text: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        plain = cells.tidy_phone(text)
        return phonenumbers.parse(f"+{plain[2:]}" if plain.startswith("00") else plain, country)
    except (phonenumbers.NumberParseException, ValueError):
        return None


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _bare(text: str) -> str:
    """The text in plain blanks and marks, without the brackets of a list."""
    text = cells.tidy_key(text).strip()
    return text[1:-1] if len(text) > 1 and _BRACKETS.get(text[0]) == text[-1] else text
