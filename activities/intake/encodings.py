"""How the text of a file is encoded, and what a file is that is no text: told from all its bytes, in one pass or two.

A file is read in pieces by decoders that remember what stood at the edge of the last one, so that no character is cut.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from journeys.errors import WaymarkError

PIECE = 1 << 20
"""Bytes read at once."""
BYTEWISE = frozenset({"utf-8", "utf-8-sig", "gb18030", "cp1252", "latin-1"})
"""Encodings in which the bytes of a line break or a quote stand for nothing else."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FOREIGN = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of the old kind",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text document (RTF)",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a SQLite database",
    b"PAR1": "a Parquet file",
    b"\x7fELF": "a program",
}
_MARKUP = re.compile(rb"\s*<(!doctype|html|\?xml|table)", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_COMMON_CHINESE = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f]")
_STRAY = re.compile("[\udc80-\udcff]")


class UnreadableTable(WaymarkError):
    """A file that is no table at all. Save it again as CSV in UTF-8."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A file as a whole: its encoding, its size in bytes, a digest (SHA-256) that no other content has, and how many
    lines end in it."""

    encoding: str
    size: int
    digest: str
    lines: int


def survey(path: Path, encoding: str | None = None) -> Survey:
    """Read a file once and say what it is; `encoding` is taken as said instead of detected.

    By its byte order mark, else UTF-8 when most of what is not ASCII is, else GB18030 or Western European by how its
    bytes pair.

    Raises:
        UnreadableTable: it cannot be opened, is empty, or is plainly no text.
        LookupError: nobody knows the encoding.
    """
    digest, size, lines, good, bad = hashlib.sha256(), 0, 0, 0, 0
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        begin = next(pieces(path), b"")
        found = codecs.lookup(encoding).name if encoding else _plainly(path, begin)
        for piece in pieces(path):
            digest.update(piece)
            size, lines = size + len(piece), lines + piece.count(b"\n")
            if found is None and not (text := utf8.decode(piece)).isascii():
                stray = len(_STRAY.findall(text))
                good, bad = good + len(_BEYOND_ASCII.findall(text)) - stray, bad + stray
        encoding = found or ("utf-8" if bad <= good // 2 else _pairing(path))
        return Survey(encoding, size, digest.hexdigest(), lines)
    except OSError as error:
        raise UnreadableTable(f"{path} cannot be read: {error.strerror}", hint="Check the name of the file.") from None


def pieces(path: Path, size: int = PIECE) -> Iterator[bytes]:
    """The bytes of a file, some at a time. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece


def _plainly(path: Path, begin: bytes) -> str | None:
    """The encoding when the beginning of the file shows it. Raises UnreadableTable when it shows something else."""
    if not begin:
        raise UnreadableTable(f"{path} is empty.", hint="A CSV file begins with a line of column names.")
    for mark, name in _BOMS:
        if begin.startswith(mark):
            return name
    sample = begin[:4096]
    foreign = next((what for magic, what in _FOREIGN.items() if begin.startswith(magic)), None)
    if _MARKUP.match(sample):
        foreign = "a web page or XML"
    elif _JSON.match(sample):
        foreign = "JSON"
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if foreign is None and even + odd > len(sample) // 4:
        if min(even, odd) * 8 < max(even, odd):
            return "utf-16-le" if odd > even else "utf-16-be"
        foreign = "binary"
    if foreign is None and len(_CONTROL.findall(sample)) > len(sample) // 10:
        foreign = "binary"
    if foreign is not None:
        raise UnreadableTable(
            f"{path} is {foreign}, not CSV.",
            hint="Unpack it first." if "compressed" in foreign else "Open it and save it as CSV in UTF-8.",
        )
    return None


def _pairing(path: Path) -> str:
    # Chinese stands in runs of double bytes, most of them of the common block; accented letters stand alone.
    paired = single = common = wrong = 0
    chinese = codecs.getincrementaldecoder("gb18030")("replace")
    undefined = False
    for piece in pieces(path):
        for run in _HIGH.findall(piece):
            paired, single = paired + len(run) // 2, single + (len(run) == 1)
            common += len(_COMMON_CHINESE.findall(run))
        wrong += chinese.decode(piece).count("\ufffd")
        undefined = undefined or _UNDEFINED.search(piece) is not None
    if paired > single and common * 2 >= paired and wrong * 20 <= paired:
        return "gb18030"
    return "latin-1" if undefined else "cp1252"
