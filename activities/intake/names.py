"""A name that stands in one cell, as a given name and a family name."""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+")
_HANGUL = re.compile(r"[\uac00-\ud7af]+")
_TWO_SIGNS = {
    "欧阳", "歐陽", "司马", "司馬", "上官", "诸葛", "諸葛", "东方", "東方", "皇甫", "尉迟", "尉遲", "公孙", "公孫",
    "慕容", "司徒", "令狐", "长孙", "長孫", "宇文", "夏侯", "轩辕", "端木", "남궁", "황보",
    "제갈", "사공", "선우", "서문", "독고",
}  # fmt: skip
"""Family names of two signs."""
_BETWEEN = {
    "von", "vom", "zu", "zum", "zur", "van", "de", "der", "den", "del", "della", "di", "da", "dos", "das", "du", "des",
    "la", "le", "el", "al", "ter", "ten", "bin", "ibn",
}  # fmt: skip
_BEHIND = re.compile(r",?\s+(jr|sr|ii|iii|iv|ph\.?d|md|mba|msc|bsc|esq)\.?$", re.IGNORECASE)


def split_name(text: str) -> tuple[str | None, str | None]:
    """The given name and the family name: `Ada Byron`, `Byron, Ada`, `Ludwig van Beethoven`, 王小明. A single word is a
    given name."""
    text = " ".join(text.split())
    if _SIGNS.fullmatch(text.replace(" ", "")):
        return _signs(text)
    text = _BEHIND.sub("", text)
    family, comma, given = (part.strip() for part in text.partition(","))
    if comma:
        return given or None, family or None
    words = text.split(" ")
    at = next((at for at in range(1, len(words) - 1) if words[at].lower() in _BETWEEN), len(words) - 1)
    return " ".join(words[: at or 1]) or None, " ".join(words[at or 1 :]) or None


def _signs(text: str) -> tuple[str | None, str | None]:
    """The family name comes first where names are written in signs."""
    family, blank, given = text.partition(" ")
    if blank:
        return given.replace(" ", ""), family
    if not 2 <= len(text) <= 4 or (len(text) == 4 and text[:2] not in _TWO_SIGNS and not _HANGUL.match(text)):
        return text, None
    cut = 2 if text[:2] in _TWO_SIGNS and len(text) > 2 else 1
    return text[cut:], text[:cut]
