"""How alike two people are by name and address: what proposes possible duplicates, and nothing more.

Names are compared without accents, case, titles and order (Müller, Mueller, MULLER), English ones also by what people
are called for short (Bob is Robert); Chinese, Japanese and Korean ones sign by sign. A name alone proves nothing:
something of the address has to agree, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

from nicknames import NickNamer
from rapidfuzz import fuzz
from rapidfuzz.distance import DamerauLevenshtein

PLACES = {
    "city", "town", "place", "street", "address", "address_line_1", "address1", "zip", "zip_code", "zipcode",
    "postcode", "postal_code", "ort", "stadt", "strasse", "plz", "adresse", "城市", "地址", "邮编", "company",
}  # fmt: skip
"""Custom fields that say where somebody lives or works."""
EVERYBODYS = {
    "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com", "icloud.com", "me.com",
    "aol.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "freenet.de", "mail.ru", "yandex.ru", "qq.com", "163.com",
    "126.com", "sina.com", "foxmail.com", "orange.fr", "free.fr", "libero.it", "proton.me", "protonmail.com",
}  # fmt: skip
"""Domains of mail that say nothing about who lives there."""
_TITLES = {"dr", "prof", "mr", "mrs", "ms", "miss", "herr", "frau", "mme", "ing", "dipl", "mag", "von", "van", "de"}
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_UMLAUTS = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ø": "o", "å": "a", "æ": "a", "œ": "o", "ł": "l", "đ": "d"})
TAIL = 8
"""Digits at the end of a number that stay the same however its country was read."""
LEAST = 0.75
"""How alike two records must be to be proposed, from 0 to 1."""
LIKELIEST = 3
"""Names that somebody is looked for under who is called for short."""
FAMILIAR = 0.9
"""How alike two names are of which one is the other for short."""
NAMELESS = 0.8
"""How alike two are who have no name, and nearly the same address."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """What of a customer is compared, in its plainest spelling."""

    id: int
    name: str
    local: str
    domain: str
    head: str
    tail: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two customers are, from 0 to 1, and by what."""

    score: float
    because: tuple[str, ...]


def portrait(row: Mapping[str, object]) -> Portrait:
    """The portrait of a row of customers, with `properties`."""
    words = [plain(str(row[name])) for name in ("last_name", "first_name") if row[name]]
    name = "".join(words) if any(map(_CJK.search, words)) else " ".join(sorted(_untitled(" ".join(words).split())))
    local, _, domain = str(row["email"] or "").partition("@")
    digits = re.sub(r"\D", "", str(row["phone"] or ""))
    properties = row["properties"]
    places = (
        tuple(sorted(plain(str(value)) for key, value in properties.items() if key in PLACES and value))
        if isinstance(properties, Mapping)
        else ()
    )
    return Portrait(
        int(str(row["id"])), name.replace(" ", "") if _CJK.search(name) else name,
        re.sub(r"[._\-]", "", local.partition("+")[0]), domain, digits[:-TAIL], digits[-TAIL:], places,
    )  # fmt: skip


def blocks(one: Portrait) -> Iterator[int]:
    """The places where a portrait meets others that may be like it; nobody is compared with everybody."""
    words = one.name.split()
    if _CJK.search(one.name):
        # Either end may be the family's name.
        beginnings, signs = "".join(sorted(one.name)), {one.name[0], one.name[-1]}
    else:
        beginnings, signs = " ".join(word[:3] for word in words), {word[0] for word in words}
    initials = {"".join(sorted(signs))} if len(signs) == len(words) else signs
    if len(one.name) > 1:
        yield _block("name", one.name)
        where = [*one.places, *([one.domain] if one.domain and one.domain not in EVERYBODYS else [])]
        for place in where:
            yield _block("place", place, beginnings)
            yield from (_block("place", place, sign) for sign in initials)
            yield from (_block("formal", place, name) for name in _formal_names(one.name))
    if len(one.tail) == TAIL:
        yield _block("tail", one.tail)
        # A slip in a number is seldom in both halves of it.
        yield from (_block("head", one.tail[: TAIL // 2], sign) for sign in signs)
        yield from (_block("end", one.tail[TAIL // 2 :], sign) for sign in signs)
    if len(one.local) > 3:
        yield _block("local", one.local)
        yield from (_block("at", one.local[:4], sign) for sign in initials)


def likeness(a: Portrait, b: Portrait) -> Likeness | None:
    """How alike two are, None where not enough to be proposed."""
    evidence = _evidence(a, b)
    if not evidence:
        return None
    if a.name and b.name:
        named = _names(a.name, b.name)
        called = _called(a.name, b.name) if named < FAMILIAR else None
        named = FAMILIAR if called else named
        least = 0.6 if evidence[0][0] == 1.0 and (_CJK.search(a.name) or _CJK.search(b.name)) else 0.82
        if named < least:
            return None
        words: tuple[str, ...] = (called or ("the same name" if named == 1.0 else f"names alike by {named:.0%}"),)
        score = 0.55 * named + 0.45 * evidence[0][0]
    else:
        # Without a name only an address that is nearly the same says anything.
        if evidence[0][0] < 1.0:
            return None
        words, score = (), NAMELESS
    return Likeness(round(score, 3), (*words, *(word for _, word in evidence))) if score >= LEAST else None


def _land(one: Portrait) -> tuple[int, str]:
    """Where a number was read to be: two of one country are as long and begin alike."""
    return len(one.head), one.head[: 1 if one.head[:1] in ("1", "7") else 2]


def _slipped(a: str, b: str) -> bool:
    return DamerauLevenshtein.distance(a, b, score_cutoff=1) <= 1


def _evidence(a: Portrait, b: Portrait) -> list[tuple[float, str]]:
    """What of the addresses agrees, the strongest first."""
    found: list[tuple[float, str]] = []
    if a.tail and b.tail and len(a.tail) == TAIL:
        if a.tail == b.tail and (a.head == b.head or _land(a) != _land(b)):
            found.append((1.0, "the same number in another country's spelling"))
        elif _slipped(a.head, b.head) if a.tail == b.tail else _slipped(a.tail, b.tail):
            found.append((0.85, "numbers that differ by a slip"))
    if a.local and b.local and a.domain and b.domain:
        slip = DamerauLevenshtein.distance(a.domain, b.domain, score_cutoff=2) <= 2
        if a.local == b.local and len(a.local) > 3:
            found.append((1.0, "the same mailbox at a domain that differs by a slip") if slip and a.domain != b.domain
                         else (0.9, "the same mailbox name"))  # fmt: skip
        elif len(a.local) > 5 and DamerauLevenshtein.distance(a.local, b.local, score_cutoff=1) <= 1 and slip:
            found.append((0.9, "mail addresses that differ by a slip"))
        elif a.domain == b.domain and a.domain not in EVERYBODYS:
            found.append((0.7, f"mail at {a.domain}"))
    if alike := next((one for one in a.places if any(fuzz.ratio(one, other) >= 90 for other in b.places)), None):
        found.append((0.75 if len(set(a.places) & set(b.places)) < 2 else 0.9, f"both: {alike}"))
    return sorted(found, reverse=True)


def _names(a: str, b: str) -> float:
    if a == b:
        return 1.0
    if _CJK.search(a) or _CJK.search(b):
        # Given name and family name may stand in each other's field.
        return max(fuzz.ratio(a, b), fuzz.ratio(a, b[-1:] + b[:-1]), fuzz.ratio(a, b[1:] + b[:1])) / 100
    shorter, longer = sorted((a.split(), b.split()), key=len)
    whole = fuzz.ratio(a, b) / 100
    if len(shorter) < len(longer) and len(shorter) > 1:
        # A second given name that only one of the records has.
        whole = max(whole, 0.95 * fuzz.token_set_ratio(a, b) / 100)
    return max(whole, fuzz.token_sort_ratio(a, b) / 100)


def _called(a: str, b: str) -> str | None:
    """In what the names differ, where the one says it for short and the rest is the same."""
    mine, others = set(a.split()) - set(b.split()), set(b.split()) - set(a.split())
    if not set(a.split()) & set(b.split()):
        return None
    pairs = {(one, other) for one in mine for other in others if one in formal(other) or other in formal(one)}
    # A second given name may be on one side only.
    if not pairs or (mine != {one for one, _ in pairs} and others != {other for _, other in pairs}):
        return None
    return "called " + " and ".join(min(sorted(pair) for pair in pairs))


@lru_cache(maxsize=20_000)
def formal(word: str) -> frozenset[str]:
    """The names that a word is in full, and those that it is for short: both are what people are called by."""
    return frozenset({word, *_nicknames().canonicals_of(word)})


def _formal_names(name: str) -> Iterator[str]:
    """The name as it may be in full, with one word in full at a time."""
    words = name.split()
    for at, word in enumerate(words):
        yield from (" ".join(sorted([*words[:at], one, *words[at + 1 :]])) for one in _in_full(word))


@lru_cache(maxsize=20_000)
def _in_full(word: str) -> tuple[str, ...]:
    """What a word may be for short, the likeliest first, and itself where others are it for short."""
    short, full = _nicknames().nicknames_of(word), _nicknames().canonicals_of(word)
    itself = (word,) if short else ()
    # Names that have more short forms are in full more often; some data say both of the usual ones.
    if all(len(short) >= len(_nicknames().nicknames_of(one)) for one in full):
        return itself
    likeliest = sorted(full, key=lambda one: (one not in short, -len(_nicknames().nicknames_of(one)), one))
    return (*itself, *likeliest[:LIKELIEST])


@lru_cache(maxsize=100_000)
def plain(text: str) -> str:
    """Small letters without accents: Müller, Mueller and MULLER are all muller."""
    small = unicodedata.normalize("NFKC", text).casefold().translate(_UMLAUTS)
    small = "".join(sign for sign in unicodedata.normalize("NFKD", small) if not unicodedata.combining(sign))
    for pair, sign in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        small = small.replace(pair, sign)
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", small)))


class _Nicknames(NickNamer):
    """English names and what people of that name are called, in their plainest spelling."""

    def _normalize_name(self, name: str) -> str:
        return plain(name)


@cache
def _nicknames() -> _Nicknames:
    return _Nicknames()


def _untitled(words: list[str]) -> list[str]:
    return [word for word in words if word not in _TITLES] or words


def _block(*parts: str) -> int:
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big", signed=True)
