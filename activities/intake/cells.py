"""What stands in the cells of real lists, tidied: blanks that are no blanks, wrappings, and what Excel made of numbers.

Each function takes text as it stands in a file and gives back what was meant, or raises ValueError with what is wrong,
worded to follow the field's name.
"""

from __future__ import annotations

import re
from datetime import datetime

BLANKS = frozenset({
    "-", "--", "---", "–", "—", ".", "?", "/", "n/a", "#n/a", "#n/v", "#nv", "k.a.", "nil", "null", "(null)", "#null!",
    "none", "(none)", "nan", "<na>", "(blank)", "(leer)", "\\n", "#ref!", "#value!", "#name?", "#div/0!", "undefined",
    "无", "空",
})  # fmt: skip
"""What people and programs write where they know nothing, in small letters."""
_LONGEST_BLANK = max(map(len, BLANKS))
_NAMES = frozenset({"Null", "Nil", "Nan"})
"""Blanks that people are called, when they are written like names."""
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
_EDGES = re.compile(f"^[\\s{_INVISIBLE}]+|[\\s{_INVISIBLE}]+$")
_ANYWHERE = str.maketrans(
    dict.fromkeys(_INVISIBLE)
    | dict.fromkeys("\u00a0\u202f\u2007\u3000", " ")
    # Letters, figures and marks as Chinese and Japanese keyboards write them.
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
)
_QUOTES = {"“": "”", "„": "“", "‘": "’", "‚": "‘", "«": "»", "»": "«", "「": "」", '"': '"', "'": "'", "`": "`"}
_FORMULA = re.compile(r'^="(.*)"$', re.DOTALL)
_EXPONENT = re.compile(r"^[+-]?\d+([.,]\d+)?[eE]\+?\d+$")
_SERIAL = re.compile(r"^\d{5}([.,]\d+)?$")
_NAMED_ADDRESS = re.compile(r"^[^<>]*<\s*([^<>\s]+)\s*>$")
_SEVERAL = re.compile(r"@[^@]*[,;|\s/]+[^@\s]+@")
_DAY_FIRST = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})$")
_YEAR_FIRST = re.compile(r"^(\d{4})([./-])(\d{1,2})\2(\d{1,2})$")
_MIDNIGHT = re.compile(r"[T ]+0{1,2}:00(:00(\.0+)?)?( ?(Z|\+00:?00))?$", re.IGNORECASE)
_WRITTEN_OUT = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%Y", "%Y-%b-%d", "%Y %b %d", "%Y %B %d")
_GROUPED = re.compile(
    r"^-?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|(?:[ '’]\d{3})+(?:[.,]\d+)?|(?:,\d{3}){2,}|(?:\.\d{3}){2,})$"
)
_CURRENCY = re.compile(r"^(?:[€$£¥]|EUR|USD|GBP|CNY|RMB)\s*|\s*(?:[€$£¥]|EUR|USD|GBP|CNY|RMB)$")


def tidy(cell: str, *, name: bool = False) -> str | None:
    """The cell without what surrounds its value; None when it says nothing. Line breaks inside it stay.

    `name`: it is what somebody is called, and people are called Null.
    """
    text = cell.strip()
    if not text.isascii():
        text = _EDGES.sub("", text)
    if text.startswith("=") and (formula := _FORMULA.match(text)):
        text = formula[1].replace('""', '"').strip()
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    if len(text) <= _LONGEST_BLANK and text.lower() in BLANKS and not (name and text in _NAMES):
        return None
    return text or None


def tidy_key(text: str) -> str:
    """An identifier, address or number without characters that nobody sees, and with plain blanks."""
    return text if text.isascii() else text.translate(_ANYWHERE).strip()


def tidy_external_id(text: str) -> str:
    """An identifier. Raises ValueError when Excel has rounded it."""
    text = tidy_key(text)
    if _EXPONENT.match(text) and ("." in text or "," in text):
        raise ValueError(f"{text!r} is a number that Excel has rounded: format the column as text and export it again")
    return text


def tidy_email(text: str) -> str:
    """The address out of `mailto:`, `Name <a@b.c>` or with a dot behind. Raises ValueError when there are several."""
    text = tidy_key(text)
    if text[:7].lower() == "mailto:":
        text = text[7:].partition("?")[0]
    text = text.rstrip(",;. \t")
    if named := _NAMED_ADDRESS.match(text):
        text = named[1]
        if text[:7].lower() == "mailto:":
            text = text[7:]
    text = text.strip(" <>\"'()[]").rstrip(",;.")
    if _SEVERAL.search(text):
        raise ValueError(f"{text[:80]!r} holds several addresses: keep one")
    return text


def tidy_phone(text: str) -> str:
    """The number out of `tel:` or with a quote before it. Raises ValueError when Excel has rounded it."""
    text = tidy_key(text)
    if text[:4].lower() == "tel:":
        text = text[4:].strip()
    text = text.lstrip("'’`").rstrip(",;.")
    if _EXPONENT.match(text):
        raise ValueError(f"{text!r} is a number that Excel has rounded: format the column as text and export it again")
    if re.search(r"\d{5,}\s*[,;|]\s*\+?\d{5,}|\d{5,}\s*/\s*\+\d{5,}", text):
        raise ValueError(f"{text[:80]!r} holds several numbers: keep one")
    return text.removesuffix(".0") if re.fullmatch(r"\+?\d{7,15}\.0", text) else text


def tidy_date(text: str) -> str:
    """A day in a form that can be read in one way only, as `YYYY-MM-DD`; anything else as it is.

    Raises ValueError when it is Excel's count of days.
    """
    text = _MIDNIGHT.sub("", text)
    if match := _DAY_FIRST.match(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        # A day above 12 gives itself away; with dots the day is first everywhere.
        if match[2] == "." or first > 12 or first == second:
            return f"{year:04}-{second:02}-{first:02}"
        return f"{year:04}-{first:02}-{second:02}" if second > 12 else text
    if match := _YEAR_FIRST.match(text):
        return f"{match[1]}-{int(match[3]):02}-{int(match[4]):02}"
    if _SERIAL.match(text):
        raise ValueError(f"{text!r} is Excel's count of days: format the column as a date and export it again")
    if any(character.isalpha() for character in text):
        words = re.sub(r"(?<=\d)(st|nd|rd|th)\b|[.,]", " ", text)
        words = re.sub(r"\s+", " ", words).strip()
        for form in _WRITTEN_OUT:
            try:
                return datetime.strptime(words, form).date().isoformat()  # noqa: DTZ007 (a day has no zone)
            except ValueError:
                continue
    return text


def tidy_number(text: str) -> str:
    """A number without its currency, and without grouping where that can be read in one way only."""
    text = _CURRENCY.sub("", tidy_key(text))
    if not _GROUPED.match(text):
        return text
    point = max(text.rfind("."), text.rfind(","))
    whole = text if point < 0 or text.count(text[point]) > 1 else text[:point]
    rest = "" if whole == text else text[point + 1 :]
    return re.sub(r"[^\d-]", "", whole) + (f".{rest}" if rest else "")


def tidy_moment(text: str) -> str:
    """A moment, with `Z` for the words UTC and GMT."""
    return re.sub(r"\s*(UTC|GMT)$", "Z", text.replace("/", "-", 2) if re.match(r"^\d{4}/", text) else text)
