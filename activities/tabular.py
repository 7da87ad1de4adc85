"""CSV files as people really send them: whatever encoding, delimiter and broken quotes, one record after the other.

The file is read as a stream. A record that cannot be read is told with its line, and reading goes on at the next.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from journeys.errors import WaymarkError

LONGEST_LINE = 1_000_000
"""Characters."""
MOST_LINES = 50
"""Lines that one record with line breaks inside quotes may have; a quote that stays open longer is broken."""
DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FOREIGN = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
}
_HIGH = re.compile(rb"[\x80-\xff]+")


class UnreadableTable(WaymarkError):
    """A file that is no table at all. Save it again as CSV in UTF-8."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: the line it begins on (the first line of the file is 1) and its cells, or what is wrong with it."""

    line: int
    cells: list[str]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written."""

    encoding: str
    delimiter: str


def read_table(path: Path, *, encoding: str | None = None) -> tuple[Form, Iterator[Record]]:
    """How the file is written, and its records; the first is the header, blank lines are left out.

    Raises UnreadableTable when it is missing, empty or no text.
    """
    try:
        found = encoding or detect_encoding(path)
        with _open(path, found) as file:
            delimiter = _delimiter(file.readline(LONGEST_LINE), file.readline(LONGEST_LINE))
    except OSError as error:
        raise UnreadableTable(f"{path} cannot be read: {error.strerror}", hint="Check the name of the file.") from None
    except (LookupError, UnicodeError) as error:
        raise UnreadableTable(f"{path} is not text in {found}: {error}", hint="Save it as CSV in UTF-8.") from None
    form = Form(found, delimiter)
    return form, _records(path, form)


def detect_encoding(path: Path) -> str:
    """The encoding of the file: by its byte order mark, else UTF-8, else GB18030 or Latin-1 by how its bytes pair.

    Reads the whole file once, in pieces. Raises UnreadableTable when it is empty or plainly something else.
    """
    with path.open("rb") as file:
        begin = file.read(8)
        if not begin:
            raise UnreadableTable(f"{path} is empty.", hint="A CSV file begins with a line of column names.")
        for magic, what in _FOREIGN.items():
            if begin.startswith(magic):
                raise UnreadableTable(f"{path} is {what}, not CSV.", hint="Open it and save it as CSV in UTF-8.")
        for mark, name in _BOMS:
            if begin.startswith(mark):
                return name
        file.seek(0)
        utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        chinese: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("gb18030")()
        good = bad = paired = single = 0
        while chunk := file.read(_CHUNK):
            for character in utf8.decode(chunk):
                if character >= "\x80":
                    broken = "\udc80" <= character <= "\udcff"
                    good, bad = good + (not broken), bad + broken
            for run in _HIGH.findall(chunk):
                paired, single = paired + (len(run) > 1), single + (len(run) == 1)
            try:
                if chinese is not None:
                    chinese.decode(chunk)
            except UnicodeDecodeError:
                chinese = None
    if bad <= good // 2:
        return "utf-8"
    # Chinese stands in runs of double bytes; accented letters stand alone between plain ones.
    return "gb18030" if chinese is not None and paired > single else "cp1252"


def _open(path: Path, encoding: str) -> TextIO:
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    return path.open(encoding=encoding, errors=errors, newline=None)


def _delimiter(first: str, second: str) -> str:
    if match := re.match(r"^\ufeff?sep=(.)\s*$", first):
        return match[1]
    plain = re.sub(r'"[^"]*"', "", first)
    best = max(DELIMITERS, key=lambda mark: (plain.count(mark), second.count(mark)))
    return best if plain.count(best) else ","


def _records(path: Path, form: Form) -> Iterator[Record]:
    with _open(path, form.encoding) as file:
        lines = _Lines(file)
        width = 0
        while (first := lines.next()) is not None:
            number, text = first
            if not text.strip() or (number == 1 and text.startswith("sep=")):
                continue
            record = _record(lines, number, text, form.delimiter, width)
            if not any(cell.strip() for cell in record.cells):
                continue
            width = width or len(record.cells)
            yield record


def _record(lines: _Lines, number: int, text: str, delimiter: str, width: int) -> Record:
    taken = [text]
    while True:
        joined = "\n".join(taken)
        cells = _cells(joined, delimiter)
        if cells is not None and (len(taken) == 1 or not width or len(cells) == width):
            return Record(number, cells, _damage(joined, cells, width))
        more = lines.next() if cells is None and _open_quote(joined, delimiter) and len(taken) < MOST_LINES else None
        if more is None:
            # The quote swallowed what follows: give those lines back and lose this one only.
            lines.back(number, taken[1:])
            return Record(number, text.split(delimiter), 'a quote (") is opened or closed in the wrong place')
        taken.append(more[1])


def _damage(text: str, cells: list[str], width: int) -> str | None:
    if "\x00" in text:
        return "holds NUL bytes: the file is damaged here, or is UTF-16 without its mark"
    if any("\udc80" <= character <= "\udcff" for character in text):
        return "holds bytes that are not UTF-8, unlike the rest of the file"
    if len(text) >= LONGEST_LINE:
        return f"is longer than {LONGEST_LINE:,} characters"
    if width and len(cells) != width:
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            del cells[width:]
            return None
        return f"has {len(cells)} columns where the header has {width}"
    return None


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _open_quote(text: str, delimiter: str) -> bool:
    """Whether the text ends inside a quoted cell, so that the record may go on in the next line."""
    quoted, start, index = False, True, 0
    while index < len(text):
        character = text[index]
        if quoted:
            if character == '"':
                following = text[index + 1 : index + 2]
                if following == '"':
                    index += 1
                elif following in ("", delimiter, "\n"):
                    quoted = False
                else:
                    return False
        elif character == '"' and start:
            quoted = True
        start = not quoted and character == delimiter
        index += 1
    return quoted


class _Lines:
    """The lines of a file with their numbers, some of which may be given back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._number = 0
        self._back: deque[tuple[int, str]] = deque()

    def next(self) -> tuple[int, str] | None:
        if self._back:
            return self._back.popleft()
        text = self._file.readline(LONGEST_LINE)
        if not text:
            return None
        self._number += 1
        rest = text
        while rest and not rest.endswith("\n"):
            rest = self._file.readline(LONGEST_LINE)
        return self._number, text.removesuffix("\n")

    def back(self, number: int, taken: list[str]) -> None:
        self._back.extendleft((number + offset, text) for offset, text in reversed([*enumerate(taken, 1)]))
