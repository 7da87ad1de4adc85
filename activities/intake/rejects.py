"""The rows of a list that were not taken: however many there are, only a few of them are held in memory."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from activities.intake.cells import harmless
from activities.intake.mapping import REPORTED

_HELD = 1 << 20
"""Bytes that are held before the rest goes to a temporary file."""


class Mistake(NamedTuple):
    """What is wrong with a row: the field (None: the row as a whole), and the reason, which begins with the field."""

    field: str | None
    error: str


class Rejection(NamedTuple):
    """A row that was not taken: where it begins, everything that is wrong, and its cells."""

    line: int
    mistakes: Sequence[Mistake]
    row: list[str]

    @property
    def fields(self) -> str:
        """The fields that are wrong, each once."""
        return ", ".join(dict.fromkeys(one.field for one in self.mistakes if one.field))

    @property
    def error(self) -> str:
        """All that is wrong, in one line."""
        return "; ".join(one.error for one in self.mistakes)


class Rejects:
    """Rejected rows in the order of the file, to be counted and gone through as often as needed."""

    def __init__(self) -> None:
        self.first: list[Rejection] = []
        """Some of them, for people."""
        self._count = 0
        self._plain = True
        self._file = tempfile.SpooledTemporaryFile(_HELD, "w+", encoding="utf-8", newline="\n")  # noqa: SIM115

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Rejection]:
        self._file.seek(0)
        for line in self._file:
            begins, mistakes, row = json.loads(line)
            yield Rejection(begins, tuple(Mistake(*one) for one in mistakes), row)
        self._file.seek(0, 2)

    def add(self, rejection: Rejection, *, shown: int = 20) -> None:
        """Take one more."""
        if self._count < shown:
            self.first.append(rejection)
        self._count += 1
        self._plain = self._plain and rejection.error.isascii() and all(map(str.isascii, rejection.row))
        self._file.write(json.dumps(rejection) + "\n")

    def write(self, path: Path, header: list[str]) -> None:
        """All of them as a CSV file with line, field and reason in front, to be corrected and imported again."""
        # Spreadsheets know UTF-8 by its mark only; where nothing needs it, it is in the way of others.
        plain = self._plain and all(map(str.isascii, header))
        with path.open("w", encoding="utf-8" if plain else "utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*REPORTED, *header])
            for one in self:
                writer.writerow([one.line, one.fields, one.error, *map(_safe, one.row)])


def _safe(cell: str) -> str:
    return harmless(cell.encode("utf-8", "replace").decode().replace("\x00", ""))
