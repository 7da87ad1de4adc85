"""How wide text is, as far as that can be known without the reader's fonts, and how it breaks into lines."""

from __future__ import annotations

import unicodedata

_NARROW = set("iljtfrI.,:;|!'`()[]/ ·‹›")
_WIDE = set("mwMW@%—…→")


def width(text: str, size: float) -> float:
    """The width of text in pixels at a font size, in a common sans-serif face; rather too much than too little."""
    return sum(map(_em, text)) * size


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    if character in _NARROW:
        return 0.34
    if character in _WIDE:
        return 0.9
    return 0.68 if character.isupper() else 0.58


def wrap(text: str, size: float, room: float, most: int) -> list[str]:
    """The text in at most `most` lines of `room` pixels; what does not fit is left out, and an ellipsis says so."""
    lines = [""]
    for word in _words(" ".join(text.split()), size, room):
        joint = " " if lines[-1] and not word.startswith("\u200b") else ""
        word = word.removeprefix("\u200b")
        if width(lines[-1] + joint + word, size) <= room:
            lines[-1] += joint + word
        else:
            lines.append(word)
    lines = [line for line in lines if line] or [""]
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), size, room)]


def cut(text: str, size: float, room: float) -> str:
    """The text, shortened with an ellipsis if it is wider than `room` pixels."""
    if width(text, size) <= room:
        return text
    while text and width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _words(text: str, size: float, room: float) -> list[str]:
    """Words, those too long for a line in pieces (which begin with U+200B: they join without a blank)."""
    words: list[str] = []
    for word in text.split(" "):
        piece, joined = "", ""
        for character in word:
            if width(piece + character, size) > room:
                words.append(joined + piece)
                piece, joined = "", "\u200b"
            piece += character
        words.append(joined + piece)
    return words
