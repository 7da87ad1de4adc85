"""A CSV file cut into chunks at the borders of its records, so that several processes can read it side by side.

Cutting looks at line breaks and quotes only. A break inside a quoted cell is no border: the quotes before it are odd in
number. Where quotes are broken that rule fails, and after some lines the cut is made all the same.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from activities.intake.encodings import BYTEWISE, PIECE, pieces

LONGEST_LINE = 1_000_000
"""Characters."""
MOST_LINES = 50
"""Lines that one record with line breaks inside quotes may have; a quote that stays open longer is broken."""
_MOST_BYTES = 4 * LONGEST_LINE


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole records: the line that they begin on (the first of the file is 1), and their bytes in `encoding`, with
    plain line feeds. `end` is how many bytes of the file have been read by then."""

    line: int
    data: bytes
    encoding: str
    end: int

    @property
    def text(self) -> str:
        """The records as text: bytes that are no UTF-8 as lone surrogates, those of no other encoding as U+FFFD."""
        text = self.data.decode(self.encoding, "surrogateescape" if self.encoding == "utf-8" else "replace")
        return text.removeprefix("\ufeff") if self.line == 1 else text


def chunks(path: Path, encoding: str, size: int = PIECE) -> Iterator[Chunk]:
    """The file in chunks of about `size` bytes. Raises OSError, LookupError, UnicodeError."""
    line, end, rest = 1, 0, b""
    name = encoding if encoding in BYTEWISE else "utf-8"
    name = "utf-8" if name == "utf-8-sig" else name
    for data, end in _bounded(_plain_lines(path, encoding, size)):
        data = rest + data
        border = _border(data, patient=len(data) < 4 * size)
        if border:
            yield Chunk(line, data[:border], name, end)
            line += data.count(b"\n", 0, border)
        rest = data[border:]
    if rest:
        yield Chunk(line, rest, name, end)


def _border(data: bytes, *, patient: bool) -> int:
    """Where the last whole record ends; 0 when more has to be read to tell."""
    end = border = data.rfind(b"\n") + 1
    for _ in range(MOST_LINES):
        if not border or data.count(b'"', 0, border) % 2 == 0:
            break
        border = data.rfind(b"\n", 0, max(data.rfind(b'"', 0, border), 0)) + 1
    else:
        border = 0
    return border if border or patient else end


def _plain_lines(path: Path, encoding: str, size: int) -> Iterator[tuple[bytes, int]]:
    """The bytes with every kind of line end as a line feed, and how many of the file were read for them."""
    decoder = None if encoding in BYTEWISE else codecs.getincrementaldecoder(encoding)("replace")
    held, read = b"", 0
    for piece in pieces(path, size):
        read += len(piece)
        data = held + (piece if decoder is None else decoder.decode(piece).encode("utf-8", "replace"))
        # A carriage return at the edge may be half of a line end.
        held = b"\r" if data.endswith(b"\r") else b""
        yield data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n"), read
    if held or decoder is not None:
        last = "" if decoder is None else decoder.decode(b"", final=True)
        yield held.replace(b"\r", b"\n") + last.encode("utf-8", "replace"), read


def _bounded(found: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    """Without the rest of lines that are far too long to be any: nobody has to hold them."""
    length = 0
    for data, read in found:
        kept = data
        if length > _MOST_BYTES:
            kept = data[data.find(b"\n") :] if b"\n" in data else b""
        last = kept.rfind(b"\n")
        length = length + len(kept) if last < 0 else len(kept) - last - 1
        yield kept, read
