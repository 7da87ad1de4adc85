"""CSV files as people really send them: whatever encoding, delimiter and broken quotes, one record after the other.

The file is read as a stream. A record that cannot be read is told with its line, and reading goes on at the next.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from activities.intake.chunks import LONGEST_LINE, MOST_LINES, Chunk, chunks
from activities.intake.encodings import Survey, UnreadableTable, survey

__all__ = [
    "Form", "Record", "UnreadableTable", "detect_delimiter", "look_over", "opening", "read_records", "read_table",
    "records_of",
]  # fmt: skip

DELIMITERS = (",", ";", "\t", "|")
_DAMAGE = re.compile("[\x00\ufffd\udc80-\udcff]")
_SEPARATOR = re.compile(r"^\ufeff?\"?sep=(.)\"?\s*$")


class Record(NamedTuple):
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
    _, form = look_over(path, encoding)
    return form, records_of(path, form)


def look_over(path: Path, encoding: str | None = None) -> tuple[Survey, Form]:
    """What the file is as a whole, and how it is written. Raises UnreadableTable."""
    name = encoding or "text"
    try:
        found = survey(path, encoding)
        name = found.encoding
        return found, Form(name, detect_delimiter(path, name))
    except (LookupError, UnicodeError) as error:
        raise UnreadableTable(f"{path} is not text in {name}: {error}", hint="Save it as CSV in UTF-8.") from None


def detect_delimiter(path: Path, encoding: str) -> str:
    """What stands between the cells: what the file says (`sep=;`), else the mark that cuts its first lines best.

    A line that no mark cuts, or only one that those below do not have, is a title above the table.
    """
    first = next(chunks(path, encoding), None)
    lines = [line for line in (first.text if first else "").split("\n", 50)[:50] if line.strip()]
    if match := _SEPARATOR.match(lines[0] if lines else ""):
        return match[1]
    plain = [re.sub(r'"[^"]*"', "", line) for line in lines]
    for at, head in enumerate(plain):
        below = plain[at + 1 :]
        best = max(DELIMITERS, key=lambda mark: (head.count(mark), *(line.count(mark) for line in below[:1])))
        if head.count(best) and (not below or any(line.count(best) for line in below)):
            return best
    return ","


def opening(path: Path, form: Form, most: int = 20) -> list[Record]:
    """The first records of a file, each as wide as it is; the line that names the delimiter is none."""
    first = next(chunks(path, form.encoding), None)
    if first is None:
        return []
    lines = _Lines(first.text.removesuffix("\n").split("\n"), first.line)
    found: list[Record] = []
    while len(found) < most and (taken := lines.next()) is not None:
        number, text = taken
        if not text.strip() or (number == 1 and _SEPARATOR.match(text)):
            continue
        record = _record(lines, number, text, form.delimiter, 0, 0)
        if any(map(str.strip, record.cells)):
            found.append(record)
    return found


def read_records(chunk: Chunk, delimiter: str, width: int, least: int = 0) -> Iterator[Record]:
    """The records of a chunk, blank ones left out; `width` is the number of columns of the header, 0 while unknown.

    A record may end after `least` columns, when those that follow have no name.
    """
    least = least or width
    text = chunk.text
    found = None if not width or _odd(text) else _at_once(text, delimiter, width)
    if found is None:
        yield from _one_by_one(text.removesuffix("\n").split("\n"), chunk.line, delimiter, width, least)
        return
    for number, cells in found:
        if any(map(str.strip, cells)):
            yield Record(chunk.line + number, cells, None if len(cells) == width else _width_error(cells, width, least))


def records_of(path: Path, form: Form) -> Iterator[Record]:
    """The records of a file that is written so; the first is the header."""
    width = 0
    for chunk in chunks(path, form.encoding):
        for record in read_records(chunk, form.delimiter, width):
            width = width or len(record.cells)
            yield record


def _odd(text: str) -> bool:
    """Whether something in it has to be looked at record by record."""
    if text.isascii():
        return "\x00" in text
    return _DAMAGE.search(text) is not None


def _at_once(text: str, delimiter: str, width: int) -> Iterable[tuple[int, list[str]]] | None:
    """All records at the speed of the csv module, each with the line it begins on; None unless all are in order."""
    lines = text.removesuffix("\n").split("\n")
    if max(map(len, lines)) >= LONGEST_LINE:
        return None
    if '"' not in text:
        return enumerate(line.split(delimiter) for line in lines)
    found: list[tuple[int, list[str]]] = []
    reader = csv.reader(StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    number = 0
    try:
        for cells in reader:
            if (taken := reader.line_num - number) > 1 and (taken > MOST_LINES or len(cells) != width):
                return None
            found.append((number, cells))
            number = reader.line_num
    except csv.Error:
        return None
    if f'{delimiter} "' in text and any(len(cells) != width for _, cells in found):
        # Blanks before quotes: they are looked at where they are in the way.
        return None
    return found


def _one_by_one(lines: list[str], first: int, delimiter: str, width: int, least: int) -> Iterator[Record]:
    waiting = _Lines(lines, first)
    while (taken := waiting.next()) is not None:
        number, text = taken
        if not text.strip() or (number == 1 and _SEPARATOR.match(text)):
            continue
        record = _record(waiting, number, text, delimiter, width, least or width)
        if any(map(str.strip, record.cells)):
            width = width or len(record.cells)
            yield record


def _record(lines: _Lines, number: int, text: str, delimiter: str, width: int, least: int) -> Record:
    taken = [text]
    while True:
        joined = "\n".join(taken)
        cells = _cells(joined, delimiter)
        if cells is not None and width and len(cells) != width and f'{delimiter} "' in joined:
            spaced = _cells(joined, delimiter, spaced=True)
            cells = spaced if spaced is not None and len(spaced) == width else cells
        if cells is not None and (len(taken) == 1 or not width or len(cells) == width):
            return Record(number, cells, _damage(joined, cells, width, least))
        more = lines.next() if cells is None and _open_quote(joined, delimiter) and len(taken) < MOST_LINES else None
        if more is None:
            # The quote swallowed what follows: give those lines back and lose this one only.
            lines.back(number, taken[1:])
            return Record(number, text.split(delimiter), _unreadable(text))
        taken.append(more[1])


def _unreadable(text: str) -> str:
    if len(text) > csv.field_size_limit():
        return f"has a cell of more than {csv.field_size_limit():,} characters"
    return 'a quote (") is opened or closed in the wrong place'


def _damage(text: str, cells: list[str], width: int, least: int) -> str | None:
    if "\x00" in text:
        return "holds NUL bytes: the file is damaged here, or is UTF-16 without its mark"
    if any("\udc80" <= character <= "\udcff" for character in text):
        return "holds bytes that are not UTF-8, unlike the rest of the file"
    if "\ufffd" in text:
        return "holds characters that were lost when the file was converted (U+FFFD)"
    if len(text) >= LONGEST_LINE:
        return f"is longer than {LONGEST_LINE:,} characters"
    return _width_error(cells, width, least)


def _width_error(cells: list[str], width: int, least: int) -> str | None:
    if least <= len(cells) < width:
        cells += [""] * (width - len(cells))
    if width and len(cells) != width:
        if len(cells) > width and not any(map(str.strip, cells[width:])):
            del cells[width:]
            return None
        return f"has {len(cells)} columns where the header has {width}"
    return None


def _cells(text: str, delimiter: str, *, spaced: bool = False) -> list[str] | None:
    """The cells of a record; `spaced` where blanks stand between delimiters and quotes."""
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=spaced))
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
    """Lines with their numbers, some of which may be given back."""

    def __init__(self, lines: list[str], first: int) -> None:
        self._waiting = deque(enumerate(lines, first))

    def next(self) -> tuple[int, str] | None:
        return self._waiting.popleft() if self._waiting else None

    def back(self, number: int, taken: list[str]) -> None:
        self._waiting.extendleft((number + offset, text) for offset, text in reversed([*enumerate(taken, 1)]))
