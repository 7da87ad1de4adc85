"""How many segments a text message takes, and so what it costs (3GPP TS 23.038 and 23.040)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets for GSM-7 and 16-bit code units for UCS-2; `count` is the number of segments."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def segments(text: str) -> Segments:
    """Count as the network does: one segment holds 160 septets or 70 units, each of several 153 or 67.

    A character of the extension table takes two septets, one outside the basic plane two units, and neither
    is torn between two segments. One character outside GSM-7 makes the whole message UCS-2.
    """
    if all(c in _BASIC or c in _EXTENSION for c in text):
        sizes = [2 if c in _EXTENSION else 1 for c in text]
        return Segments("GSM-7", sum(sizes), _count(sizes, single=160, part=153))
    sizes = [2 if ord(c) > 0xFFFF else 1 for c in text]
    return Segments("UCS-2", sum(sizes), _count(sizes, single=70, part=67))


def _count(sizes: Iterable[int], *, single: int, part: int) -> int:
    sizes = list(sizes)
    if sum(sizes) <= single:
        return 1
    count, room = 1, part
    for size in sizes:
        if size > room:
            count, room = count + 1, part
        room -= size
    return count
