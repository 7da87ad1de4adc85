"""What became of a file of events, and the rows of it that were not taken."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activities.intake.event_files import Rejection

MOST_LISTED = 10_000
"""Rejected rows that the report lists; all of them are counted, and written to a file of rejects."""


@dataclass
class EventReport:
    """What became of a file.

    `heard` counts stored events of names that journeys listen to; `began` and `woken` the runs that they began and
    woke so far; `routed` is false while some are left to the workers. `resumed_at` is the row at which an import that
    was cut off was taken up.
    """

    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    created_customers: int = 0
    rejected_rows: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    heard: int = 0
    began: int = 0
    woken: int = 0
    routed: bool = True
    resumed_at: int = 0
    first: int | None = None
    rejects_at: int = 0

    def reject(self, refused: list[Rejection], path: Path | None = None, at: int = 0) -> None:
        """Take up the rows of a batch that were not taken, and write them to a file of rejects, from this place on."""
        refused.sort()
        room = MOST_LISTED - len(self.rejected)
        self.rejected += [{"line": one.line, "field": one.field, "error": one.error} for one in refused[:room]]
        self.rejected_rows += len(refused)
        if path is not None:
            self.rejects_at = write_rows(path, [[one.line, one.error, *one.row] for one in refused], at)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: what it does, and how many rows (or events) of how many are done."""

    doing: str
    done: int
    total: int


def write_rows(path: Path, rows: list[list[Any]], at: int) -> int:
    """Write rows at this place of a file of rejects; what stands after it is of a batch that was not stored. Returns
    where they end."""
    with path.open("r+", encoding="utf-8", errors="replace", newline="") as file:
        file.seek(at)
        file.truncate()
        csv.writer(file).writerows(rows)
        return file.tell()
