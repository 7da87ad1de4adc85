"""Countries, languages and time zones by their codes, and by the names that people and programs give them.

The names come from the Unicode CLDR (Babel), in the languages of most lists; what else is said stands here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from zoneinfo import available_timezones

from babel import Locale
from babel.core import get_global

_SPOKEN = """
    en de fr es it pt nl pl sv da nb fi cs sk hu ro bg hr sl et lv lt el tr ru uk ar he fa hi th vi id ms ja ko zh
    zh_Hant ca
"""
"""The languages in which countries and languages are known by their names, the first that knows a name is right."""
_ALSO = {
    "uk": "GB", "england": "GB", "great britain": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "grossbritannien": "GB", "grande bretagne": "GB", "usa": "US", "america": "US", "us of a": "US",
    "united states of america": "US", "united states america": "US", "estados unidos de america": "US",
    "vereinigte staaten von amerika": "US", "etats unis d amerique": "US", "holland": "NL", "the netherlands": "NL",
    "czech republic": "CZ", "tschechische republik": "CZ", "ceska republika": "CZ", "brd": "DE", "d": "DE", "a": "AT",
    "f": "FR", "i": "IT", "federal republic of germany": "DE", "bundesrepublik deutschland": "DE",
    "prc": "CN", "pr china": "CN", "peoples republic of china": "CN", "people s republic of china": "CN",
    "vr china": "CN", "china mainland": "CN", "mainland china": "CN", "中华人民共和国": "CN", "中国大陆": "CN",
    "中国香港": "HK", "香港": "HK", "홍콩": "HK", "澳门": "MO", "澳門": "MO",
    "中国澳门": "MO", "中国台湾": "TW", "台灣": "TW", "taiwan province of china": "TW", "韩国": "KR", "한국": "KR",
    "大韩民国": "KR", "south korea": "KR", "korea south": "KR", "korea": "KR", "republic of korea": "KR",
    "korea republic of": "KR", "korea north": "KP", "korea democratic people s republic of": "KP", "uae": "AE",
    "russian federation": "RU", "russische foderation": "RU", "viet nam": "VN", "republic of ireland": "IE",
    "eire": "IE", "burma": "MM", "swaziland": "SZ", "macedonia": "MK", "kosovo": "XK", "ivory coast": "CI",
    "cape verde": "CV", "east timor": "TL", "congo": "CG", "congo democratic republic of the": "CD", "dr congo": "CD",
    "vatican": "VA", "holy see": "VA", "palestine": "PS", "brunei darussalam": "BN", "syrian arab republic": "SY",
    "lao people s democratic republic": "LA", "libyan arab jamahiriya": "LY", "macao": "MO", "macau": "MO",
    "hong kong": "HK", "hongkong": "HK", "turkiye": "TR", "slovak republic": "SK", "kyrgyz republic": "KG",
}  # fmt: skip
_NONE = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
"""Codes that stand for no country."""
_OFFICIAL = re.compile(
    r"(.+), (?:the )?(?:(?:\w+ )?republic of|(?:federated )?states? of|plurinational state of|kingdom of|the)"
)
_WITH_CODE = re.compile(r"(.+?)\s*[(\[]\s*(.+?)\s*[)\]]|(.+?)\s+[-–—/|:]\s+(.+)|(\w\w):(.+)")
_LANGUAGES = {
    "mandarin": "zh", "汉语": "zh", "华语": "zh", "英文": "en", "德文": "de", "法文": "fr", "日文": "ja", "韩文": "ko",
    "中文简体": "zh-Hans", "中文繁体": "zh-Hant", "中文繁體": "zh-Hant",
    "中文 简体": "zh-Hans", "中文 繁體": "zh-Hant", "chinese simplified": "zh-Hans", "chinese traditional": "zh-Hant",
    "简体": "zh-Hans", "繁體": "zh-Hant",
    "brazilian": "pt-BR", "farsi": "fa", "castellano": "es", "castilian": "es", "flemish": "nl-BE", "norwegian": "no",
    "norsk": "no", "norwegisch": "no",
}  # fmt: skip
_ZONES = {
    "beijing": "Asia/Shanghai", "北京": "Asia/Shanghai", "china": "Asia/Shanghai", "mez": "CET", "mesz": "CET",
    "cest": "CET", "eastern_time_(us_&_canada)": "America/New_York", "central_time_(us_&_canada)": "America/Chicago",
    "mountain_time_(us_&_canada)": "America/Denver", "pacific_time_(us_&_canada)": "America/Los_Angeles",
    "eastern_time": "America/New_York", "central_time": "America/Chicago", "mountain_time": "America/Denver",
    "pacific_time": "America/Los_Angeles", "bern": "Europe/Zurich", "zürich": "Europe/Zurich", "wien": "Europe/Vienna",
}  # fmt: skip
_AREAS = {"Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
_SHIFT = re.compile(r"\(?(?:utc|gmt)?([+-]|\u2212)0?(\d{1,2})(?::?00)?\)?")
_SHIFT_BEFORE = re.compile(r"^\((?:utc|gmt)[^)]*\)\s*", re.IGNORECASE)


def country_code(text: str) -> str | None:
    """The code of two letters (ISO 3166-1) by a code of two or three or a name in any language; None for none."""
    known = _countries()
    if code := known.get(plain(text)):
        return code
    if said := _WITH_CODE.fullmatch(text.strip()):
        codes = {known.get(plain(part)) for part in said.groups() if part}
        return codes.pop() if len(codes) == 1 else None
    if said := _OFFICIAL.fullmatch(text.strip().lower()):
        return known.get(plain(said[1]))
    return None


def near_country(text: str) -> tuple[str, str] | None:
    """The English name that is written most like this one, and its code."""
    names = {plain(name): (name, code) for code, name in _named("en", "territories").items() if len(code) == 2}
    near = get_close_matches(plain(text), names, n=1, cutoff=0.75) if len(text) > 3 else []
    return names[near[0]] if near else None


def language_tag(text: str) -> str | None:
    """The tag (BCP 47) of a language by its name, `German (Austria)` too; None when it is none that is known."""
    known = _languages()
    if tag := known.get(plain(text)):
        return tag
    said = re.fullmatch(r"(.+?)\s*(?:[(（]\s*(.+?)\s*[)）]|\s-\s(.+))", text.strip())
    tag, where = (known.get(plain(said[1])), country_code(said[2] or said[3])) if said else (None, None)
    return f"{tag}-{where}" if tag and where and "-" not in tag else None


def is_language(code: str) -> bool:
    """Whether a language has this code of two or three letters."""
    return code in Locale("en").languages


def one_language(code: str) -> str:
    """The shorter code of a language that has two: `de` for `deu` and `ger`."""
    return str(get_global("language_aliases").get(code, code)).partition("_")[0]


def time_zone(text: str) -> str | None:
    """A zone of the IANA database by its name, its city, its name in Windows or whole hours from UTC, or None."""
    zones = _zones()
    bare = _SHIFT_BEFORE.sub("", text.strip())
    inside = re.search(r"\(([^()]+/[^()]+)\)$", bare)
    for said in (bare, *([inside[1]] if inside else []), *(re.split(r"[,;]", bare) if "," in bare else [])):
        if zone := zones.get(_zone_word(said)):
            return zone
    if (shift := _SHIFT.fullmatch(text.strip().lower().replace(" ", ""))) and int(shift[2]) <= 12:
        hours = int(shift[2])
        # POSIX counts the other way round.
        return f"Etc/GMT{'-' if shift[1] == '+' else '+'}{hours}" if hours else "UTC"
    return None


def near_zone(text: str) -> str | None:
    """The zone that is written most like this one."""
    zones = _zones()
    near = get_close_matches(_zone_word(text), zones, n=1)
    return zones[near[0]] if near else None


def plain(text: str) -> str:
    """Small letters without accents, dots and marks."""
    small = unicodedata.normalize("NFKD", text.replace(".", "")).casefold().replace("&", " and ")
    bare = "".join(sign for sign in small if not unicodedata.combining(sign) or "\u3040" <= sign < "\u3100")
    return unicodedata.normalize("NFC", " ".join(re.findall(r"[^\W_]+", bare)))


def _named(tongue: str, what: str) -> dict[str, str]:
    return {str(code): str(name) for code, name in getattr(Locale.parse(tongue), what).items()}


def _spelled(name: str) -> Iterable[str]:
    """A name, and as it is written where there are no umlauts."""
    small = name.casefold()
    yield plain(name)
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        small = small.replace(umlaut, letters)
    yield plain(small)


@cache
def _countries() -> dict[str, str]:
    codes = {code for code in _named("en", "territories") if re.fullmatch("[A-Z]{2}", code)} - _NONE
    found = {code.lower(): code for code in codes}
    aliases: Mapping[str, Sequence[str]] = get_global("territory_aliases")
    found |= {alias.lower(): also[0] for alias, also in aliases.items() if re.fullmatch("[A-Z]{3}", alias)}
    found |= _ALSO
    for line in (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            code, name = line.split("\t")
            found.setdefault(plain(name), code)
    for tongue in _SPOKEN.split():
        for code, name in _named(tongue, "territories").items():
            if code in codes:
                for word in _spelled(name):
                    found.setdefault(word, code)
    return found


@cache
def _languages() -> dict[str, str]:
    found = dict(_LANGUAGES)
    for tongue in _SPOKEN.split():
        for code, name in _named(tongue, "languages").items():
            if re.fullmatch(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_[A-Z]{2})?", code):
                for word in _spelled(name):
                    found.setdefault(word, code.replace("_", "-"))
    return found


def _zone_word(text: str) -> str:
    word = re.sub(r"\s*[/\\]\s*", "/", text.strip().replace("_slash_", "/"))
    return word.replace(" ", "_").lower()


@cache
def _zones() -> dict[str, str]:
    zones = {name.lower(): name for name in available_timezones()}
    # A city that is in one zone only names it: Berlin.
    cities: dict[str, set[str]] = {}
    for name in zones.values():
        area, _, city = name.rpartition("/")
        if area in _AREAS:
            cities.setdefault(city.lower(), set()).add(name)
    windows = {name.replace(" ", "_").lower(): zone for name, zone in get_global("windows_zone_mapping").items()}
    single = {city: next(iter(names)) for city, names in cities.items() if len(names) == 1}
    return windows | _ZONES | single | zones
