"""What stands in the cells of real lists, tidied: blanks that are no blanks, wrappings, and what Excel made of numbers.

Each function takes text as it stands in a file and gives back what was meant, or raises ValueError with what is wrong,
worded to follow the field's name.
"""

from __future__ import annotations

import re
import unicodedata

from journeys.fields import yes_or_no

BLANKS = frozenset({
    "-", "--", "---", "–", "—", ".", "?", "/", "n/a", "#n/a", "#n/v", "#nv", "k.a.", "nil", "null", "(null)", "#null!",
    "none", "(none)", "nan", "<na>", "(blank)", "(leer)", "\\n", "#ref!", "#value!", "#name?", "#div/0!", "undefined",
    "无", "空",
})  # fmt: skip
"""What people and programs write where they know nothing, in small letters."""
UNKNOWN = BLANKS | {
    "unknown", "unbekannt", "inconnu", "inconnue", "desconocido", "sconosciuto", "onbekend", "n.a.", "n.a", "n. a.",
    "keine angabe", "k. a.", "k.a", "-/-", "not available", "not provided", "not applicable", "not specified", "tbd",
    "tba", "missing", "未知", "不详", "暂无", "没有", "なし", "不明", "нет данных",
}  # fmt: skip
"""What says nothing, except in text of one's own."""
NOBODY = UNKNOWN | {
    "na", "no email", "noemail", "no e-mail", "no mail", "keine", "keine e-mail", "kein", "no phone", "nophone",
    "aucun", "ninguno", "nessuno", "geen", "xxx",
}  # fmt: skip
"""What is written for a name that somebody does not have: it is nobody's, and joins nobody."""
NO_NUMBER = NOBODY | {"0", "0.0", "+"}
_LONGEST_BLANK = max(map(len, NOBODY))
_NAMES = frozenset({"Null", "Nil", "Nan"})
"""Blanks that people are called, when they are written like names."""
_INVISIBLE = (
    "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u061c\u180e\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_EDGES = re.compile(f"^[\\s{_INVISIBLE}]+|[\\s{_INVISIBLE}]+$")
_ANYWHERE = str.maketrans(
    dict.fromkeys(_INVISIBLE)
    | dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    )
    # Letters, figures and marks as Chinese and Japanese keyboards write them.
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
)
_QUOTES = {"“": "”", "„": "“", "‘": "’", "‚": "‘", "«": "»", "»": "«", "「": "」", '"': '"', "'": "'", "`": "`"}
_QUOTED_APART = re.compile(r'^"[^"]+"(?:[^"]+"[^"]+")+$')
"""Several values, each in quotes."""
_FORMULA = re.compile(r'^="(.*)"$', re.DOTALL)
_TEXT_MARK = re.compile(r"^'(?=[=+\-@\d])")
"""What spreadsheets put before text that looks like a number or a formula."""
_RUNS = re.compile(r"[=@\t\r]|[+-](?![\d\s().,/-]*$)")
"""How text begins that a spreadsheet would run as a formula; numbers with a sign are none."""
_EXPONENT = re.compile(r"^[+-]?\d+([.,]\d+)?[eE]\+?\d+$")
_FLOAT = re.compile(r"^(\d{1,15})\.0+$")
_SCHEME = re.compile(r"^(?:(?:mailto|smtp|e-?mail)\s*:\s*|[^\W\d_][^@:\"<>]{0,40}:\s+)", re.IGNORECASE)
"""What an address is, as in `mailto:` and `Work: `. Without a blank, what stands before a colon may belong to it."""
_NAMED_ADDRESS = re.compile(r"^[^<>]*<\s*(?:mailto:)?([^<>\s]+)\s*>$", re.IGNORECASE)
_REMARK = re.compile(r"\s+\([^()@]*\)$")
_PAIRS = {"<": ">", "(": ")", "[": "]", '"': '"', "'": "'"}
_LABEL = re.compile(r"^(?:[^\W\d_][^\d+(]{0,40}[:.\s]|\([^\W\d_][^\d+()]{0,40}\))\s{0,9}(?=['’`=+(\d])")
"""What a number is, as in `tel:`, `Tel. `, `Mobil: ` and `(work) `."""
_EXTENSION = re.compile(
    r"[\s,;/]{0,9}(?:ext|extn|extension|x|durchwahl|dw|apparat|app|nebenstelle|nst|poste|int|interno|anexo|ramal|доб|转|轉"
    r"|分机|分機|内線|内线)[.:=\s]*\d{1,6}(?:\s*(?:[,/&-]|and|or|und|oder)\s*\d{1,6}){0,2}$",
    re.IGNORECASE,
)
_WORDS_BEHIND = re.compile(r"(?<=\d)\s*[(\[]\s*[^\W\d][^()]*[)\]]$|(?<=\d)\s+[^\W\d]{3,}[^\d]*$")
_UNASKED = {"never subscribed", "non subscribed", "not subscribed", "nonsubscribed", "pending", "not set", "not asked"}
_WANTED = {"confirmed", "active", "single opt in", "double opt in", "opt in", "abonniert", "angemeldet"}
_UNWANTED = {"cleaned", "bounced", "inactive", "opt out", "abgemeldet", "abbestellt", "complained", "suppressed"}
_CURRENCY = re.compile(r"^(?:[€$£¥￥₹₽₩]|[A-Z]{3}|R\$|kr|zł|Fr)\.?\s*|\s*(?:[€$£¥￥₹₽₩]|[A-Z]{3}|kr|zł|Kč|Ft)\.?$")
_GROUPED = re.compile(
    r"^-?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|(?:[ '’]\d{3})+(?:[.,]\d+)?|(?:,\d{3}){2,}|(?:\.\d{3}){2,})$"
)
_DECIMAL_COMMA = re.compile(r"^-?\d+,(?:\d{1,2}|\d{4,})$")


def tidy(cell: str, *, nothing: frozenset[str] = BLANKS, name: bool = False) -> str | None:
    """The cell without what surrounds its value; None when it says nothing. Line breaks inside it stay.

    `nothing`: the words that say nothing here. `name`: it is what somebody is called, and people are called Null.
    """
    text = cell.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _EDGES.sub("", text))
    if text.startswith("=") and (formula := _FORMULA.match(text)):
        text = formula[1].replace('""', '"').strip()
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and not _QUOTED_APART.match(text):
        text = text[1:-1].strip()
    if text.startswith("'"):
        text = _TEXT_MARK.sub("", text)
    if len(text) <= _LONGEST_BLANK and text.lower() in nothing and not (name and text in _NAMES):
        return None
    return text or None


def harmless(text: str) -> str:
    """The text for a table that may be opened in a spreadsheet: what would run there is marked as text, which `tidy`
    takes off again."""
    return f"'{text}" if _RUNS.match(text) else text


def tidy_key(text: str) -> str:
    """An identifier, address or number without characters that nobody sees, and with plain blanks."""
    return text if text.isascii() else text.translate(_ANYWHERE).strip()


def tidy_external_id(text: str) -> str:
    """An identifier; `17.0` is what programs make of the number 17. Raises ValueError when Excel has rounded it."""
    text = tidy_key(text)
    if _EXPONENT.match(text) and ("." in text or "," in text):
        raise ValueError(f"{text!r} is a number that Excel has rounded: format the column as text and export it again")
    return float_of[1] if (float_of := _FLOAT.match(text)) else text


def tidy_email(text: str) -> str:
    """The address out of `mailto:`, `Name <a@b.c>` or with a dot behind."""
    text = tidy_key(text)
    if scheme := _SCHEME.match(text):
        text = text[scheme.end() :].partition("?")[0]
    text = text.rstrip(",;. \t")
    if named := _NAMED_ADDRESS.match(text):
        text = named[1]
    text = _REMARK.sub("", text)
    while len(text) > 2 and _PAIRS.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    text = text.rstrip(",;.")
    return re.sub(r"\s*@\s*", "@", text) if text.count("@") == 1 else text


def tidy_phone(text: str) -> str:
    """The number out of `tel:` and `Mobil: `, without words and an extension behind it.

    Raises ValueError when Excel has rounded it.
    """
    said = text = tidy_key(text)
    text = _LABEL.sub("", text)
    text = text.lstrip("'’`=").rstrip(",;.")
    if _EXPONENT.match(text):
        raise ValueError(f"{said!r} is a number that Excel has rounded: format the column as text and export it again")
    text = _EXTENSION.sub("", _WORDS_BEHIND.sub("", text))
    return text[:-2] if re.fullmatch(r"\+?\d{7,15}[.,]0", text) else text


def tidy_number(text: str) -> str:
    """A number without its currency, and without grouping where that can be read in one way only."""
    text = tidy_key(text)
    if text.startswith("(") and text.endswith(")"):
        text = "-" + text[1:-1].strip()
    bare = _CURRENCY.sub("", text.removesuffix(",-").removesuffix(",--").removesuffix(".-"))
    if _DECIMAL_COMMA.match(bare):
        return bare.replace(",", ".")
    if not _GROUPED.match(bare):
        if bare != text and re.fullmatch(r"-?\d{1,3}\.\d{3}", bare):
            raise ValueError(f"{text!r} can be read in two ways: write it like 1234.5")
        return bare
    point = max(bare.rfind("."), bare.rfind(","))
    whole = bare if point < 0 or bare.count(bare[point]) > 1 else bare[:point]
    rest = "" if whole == bare else bare[point + 1 :]
    return re.sub(r"[^\d-]", "", whole) + (f".{rest}" if rest else "")


def tidy_moment(text: str) -> str:
    """A moment, with `Z` for the words UTC and GMT."""
    return re.sub(r"\s*(UTC|GMT)$", "Z", text.replace("/", "-", 2) if re.match(r"^\d{4}/", text) else text)


def tidy_consent(text: str) -> bool | None:
    """Whether somebody wants to hear from us; None where nobody asked, or there is no answer yet. Raises ValueError."""
    word = re.sub(r"[\s_-]+", " ", tidy_key(text)).strip().lower()
    return None if word in _UNASKED else word in _WANTED or (word not in _UNWANTED and yes_or_no(text))
