"""Countries and languages by their codes and by the names that people give them in their own languages."""

from __future__ import annotations

import re
import unicodedata
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

_ALSO = {
    "uk": "GB", "england": "GB", "great britain": "GB", "scotland": "GB", "usa": "US", "u.s.": "US", "u.s.a.": "US",
    "america": "US", "united states of america": "US", "us of a": "US", "holland": "NL", "czech republic": "CZ",
    "czechia": "CZ", "česko": "CZ",
    "brd": "DE", "prc": "CN", "中华人民共和国": "CN", "中国大陆": "CN", "uae": "AE", "russian federation": "RU",
    "republic of korea": "KR", "korea": "KR", "viet nam": "VN", "republic of ireland": "IE", "turkiye": "TR",
    "burma": "MM", "swaziland": "SZ", "macedonia": "MK", "the netherlands": "NL",
}  # fmt: skip
_LANGUAGES = """
ar arabic العربية | bg bulgarian български | ca catalan català | cs czech čeština tschechisch | da danish dansk dänisch
de german deutsch allemand alemán tedesco 德语 德文 | el greek ελληνικά griechisch
en english englisch anglais inglés inglese 英语 英文 | es spanish español castellano spanisch espagnol 西班牙语
et estonian eesti | fa persian farsi فارسی | fi finnish suomi finnisch | fr french français französisch francés 法语
he hebrew עברית | hi hindi हिन्दी | hr croatian hrvatski | hu hungarian magyar ungarisch | id indonesian
it italian italiano italienisch italien 意大利语 | ja japanese 日本語 japanisch 日语 日文 | ko korean 한국어 韩语
lt lithuanian lietuvių | lv latvian latviešu | ms malay melayu | nl dutch nederlands niederländisch néerlandais
no norwegian norsk norwegisch | pl polish polski polnisch polonais | pt portuguese português portugiesisch portugais
ro romanian română | ru russian русский russisch russe 俄语 | sk slovak slovenčina | sl slovenian slovenščina
sr serbian српски | sv swedish svenska schwedisch | th thai ไทย | tr turkish türkçe türkisch | uk ukrainian українська
vi vietnamese | zh chinese mandarin 中文 汉语 chinesisch chinois
zh-Hans 简体中文 | zh-Hant 繁體中文 | pt-BR brazilian
"""


def country_code(text: str) -> str | None:
    """The code of two letters (ISO 3166-1) for a code of two or three or a name in any language; None for no country.

    Names come from tzdata (English), phonenumbers (many languages) and holidays (three letters).
    """
    word = _plain(text)
    return _english().get(word) or _everywhere().get(word)


def near_country(text: str) -> tuple[str, str] | None:
    """The English name that is written most like this one, and its code."""
    near = get_close_matches(_plain(text), _english(), n=1) if len(text) > 3 else []
    return (near[0].title(), _english()[near[0]]) if near else None


def language_tag(text: str) -> str | None:
    """The tag (BCP 47) of a language by one of its names; None when it is none that is known."""
    return _languages().get(_plain(text))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().lower()


@cache
def _english() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            code, name = line.split("\t")
            found |= {code.lower(): code, name.lower(): code}
    return found | _ALSO


@cache
def _everywhere() -> dict[str, str]:
    # Loaded when a list needs them: a quarter of a second.
    from holidays.registry import COUNTRIES
    from phonenumbers.geodata.locale import LOCALE_DATA

    known = set(_english().values())
    found = {entry[2].lower(): entry[1] for entry in COUNTRIES.values() if entry[1] in known}
    for code, names in LOCALE_DATA.items():
        for name in names.values():
            if code in known and not name.startswith("*"):
                spelled = _plain(name)
                found.setdefault(spelled, code)
                bare = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
                if bare and len(bare) == len(spelled):
                    found.setdefault(bare, code)
    return found


@cache
def _languages() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in re.split(r"[|\n]", _LANGUAGES):
        tag, *names = entry.split() or [""]
        found |= dict.fromkeys(names, tag)
    return found
