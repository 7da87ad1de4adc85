"""Customers from a CSV file: each row checked, written, and, where it cannot be taken, reported with its line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.contacts import COLUMNS, InvalidContactError, column_name, nearest_column, read_contact
from activities.tabular import Form, Record, UnreadableTable, read_table
from journeys.fields import Fields
from records import customers
from records.contacts import Contact

BATCH = 500
"""Rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be taken, with the line it begins on."""

    line: int
    contact: Contact
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken: where it stands, the first field that is wrong, everything that is wrong with it."""

    line: int
    field: str | None
    error: str
    row: list[str]


@dataclass
class ImportReport:
    """What became of a file. `unknown_columns` maps each column that was left out to the nearest known one."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    merged: int = 0
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    unknown_columns: dict[str, str | None] = field(default_factory=dict)
    still_withdrawn: int = 0
    """Contacts for whom the file grants a consent that they withdrew before; the withdrawal stands."""
    header: list[str] = field(default_factory=list)
    encoding: str = ""
    delimiter: str = ""


class CustomerFile:
    """A CSV file of customers, opened: its header is read, its rows are read as they are asked for.

    Raises UnreadableTable when the file is no table, or has no column that names an address.
    """

    def __init__(
        self, path: Path, fields: Fields, *, relative_to: date | None = None, encoding: str | None = None
    ) -> None:
        self.form: Form
        self.form, self._records = read_table(path, encoding=encoding)
        self._fields = fields
        self._relative_to = relative_to
        self.header, self.columns, self.unknown = self._read_header(path)

    def __iter__(self) -> Iterator[Row | Rejection]:
        seen = _Seen()
        for record in self._records:
            outcome = self._row(record)
            if isinstance(outcome, Row) and (twice := seen.clash(outcome)):
                outcome = Rejection(record.line, twice[0], twice[1], record.cells)
            yield outcome

    def _read_header(self, path: Path) -> tuple[list[str], list[str | None], dict[str, str | None]]:
        first = next(self._records, None)
        if first is None:
            raise UnreadableTable(f"{path} is empty.", hint="A CSV file begins with a line of column names.")
        columns = [column_name(cell, self._fields) for cell in first.cells]
        if first.error or any("@" in cell for cell in first.cells):
            raise UnreadableTable(
                f"{path}:{first.line}: this line is no header: {first.error or 'it holds a mail address'}",
                hint="The first line names the columns: " + ", ".join([*COLUMNS, *self._fields]),
            )
        known = [column for column in columns if column]
        if twice := next((column for column in known if known.count(column) > 1), None):
            said = [cell for cell, column in zip(first.cells, columns, strict=True) if column == twice]
            raise UnreadableTable(
                f"{path}:{first.line}: {' and '.join(map(repr, said))} both mean {twice}", hint="Keep one of them."
            )
        if not {"email", "phone"} & set(known):
            raise UnreadableTable(
                f"{path}:{first.line}: no column is an email or a phone; found {', '.join(first.cells)[:200]}",
                hint="Name one of them email or phone.",
            )
        unknown = {
            cell.strip(): nearest_column(cell, self._fields)
            for cell, column in zip(first.cells, columns, strict=True)
            if column is None and cell.strip()
        }
        return first.cells, columns, unknown

    def _row(self, record: Record) -> Row | Rejection:
        if record.error:
            return Rejection(record.line, None, record.error, record.cells)
        values = {column: cell for column, cell in zip(self.columns, record.cells, strict=False) if column}
        try:
            contact = read_contact(values, self._fields, relative_to=self._relative_to)
        except InvalidContactError as error:
            return Rejection(record.line, next(iter(error.problems)), str(error), record.cells)
        return Row(record.line, contact, record.cells)


class _Seen:
    """The identifiers of the rows before, so that a file which contradicts itself is told where."""

    def __init__(self) -> None:
        self._email_of: dict[str, tuple[str | None, int]] = {}
        self._id_of: dict[str, tuple[str | None, int]] = {}

    def clash(self, row: Row) -> tuple[str, str] | None:
        external_id, email = row.contact.external_id, row.contact.email
        if external_id and email:
            earlier, line = self._email_of.setdefault(external_id, (email, row.line))
            if earlier != email:
                return "external_id", f"external_id {external_id!r} stands on line {line} with another email"
            other, line = self._id_of.setdefault(email, (external_id, row.line))
            if other != external_id:
                return "email", f"email {email!r} stands on line {line} with another external_id"
        return None


async def import_customers(
    engine: AsyncEngine,
    path: Path,
    fields: Fields,
    *,
    now: datetime,
    relative_to: date | None = None,
    encoding: str | None = None,
    dry_run: bool = False,
    progress: Callable[[ImportReport], None] = lambda report: None,
) -> ImportReport:
    """Take all rows of a file that can be taken, in transactions of some hundred; the same file again changes nothing.

    `relative_to` allows dates such as `+40d`. A dry run writes nothing and reports the same. `progress` is called
    after each batch. Raises UnreadableTable when the file is no table of customers.
    """
    table = CustomerFile(path, fields, relative_to=relative_to, encoding=encoding)
    report = ImportReport(
        unknown_columns=table.unknown,
        header=table.header,
        encoding=table.form.encoding,
        delimiter=table.form.delimiter,
    )
    rows = iter(table)
    async with engine.connect() as db:
        while batch := list(islice(rows, BATCH)):
            await _write(db, batch, report, now=now, source=f"import of {path.name}")
            if not dry_run:
                await db.commit()
            progress(report)
        await db.rollback()
    report.rejected.sort(key=lambda rejection: rejection.line)
    return report


async def _write(
    db: AsyncConnection, batch: list[Row | Rejection], report: ImportReport, *, now: datetime, source: str
) -> None:
    for row in batch:
        report.rows += 1
        if isinstance(row, Rejection):
            report.rejected.append(row)
            continue
        try:
            done = await customers.upsert(db, row.contact, now=now, source=source)
        except customers.ConflictingIdentity as error:
            report.rejected.append(Rejection(row.line, "external_id", error.message, row.cells))
            continue
        setattr(report, done.outcome, getattr(report, done.outcome) + 1)
        report.still_withdrawn += bool(done.still_withdrawn)


def write_rejects(path: Path, report: ImportReport) -> None:
    """The rejected rows as a CSV file with their line and error in front, to be corrected and imported again."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "error", *report.header])
        writer.writerows([rejection.line, rejection.error, *map(_safe, rejection.row)] for rejection in report.rejected)


def _safe(cell: str) -> str:
    return cell.encode("utf-8", "replace").decode().replace("\x00", "")
