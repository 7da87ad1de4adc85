"""Customers from a CSV file: read as a stream, written page by page, resumed where a crash has cut it off.

Each page is one transaction, in which the import also writes down how far it has come. What was rejected is not written
down: it follows from the file, which is read again from its beginning when an import is resumed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.intake import days
from activities.intake.chunks import Chunk, chunks
from activities.intake.contacts import COLUMNS, read_country
from activities.intake.encodings import PIECE, UnreadableTable, survey
from activities.intake.instants import DateForm
from activities.intake.mapping import names_somebody, propose
from activities.intake.parsers import Draw, Making, Pages, Ready
from activities.intake.parsing import Parser, Reading
from activities.intake.rejects import Rejection, Rejects
from activities.intake.tabular import Form, detect_delimiter, opening
from journeys.fields import Fields
from journeys.identities import DEFAULT, IdentityRules
from records.intake import imports, queue, writing
from records.intake.drafts import Sheet
from records.intake.imports import Job, Taken
from records.intake.pages import Done, Page
from records.intake.writing import Outlook
from records.people.contacts import Contact

__all__ = ["CustomerFile", "ImportReport", "Rejection", "Rejects", "Row", "import_customers"]


class Row(NamedTuple):
    """A row that can be taken, with the line it begins on."""

    line: int
    contact: Contact


@dataclass
class ImportReport(Done):
    """What became of a file; each row counts once. `still_withdrawn` counts the contacts for whom the file grants a
    consent that they withdrew before; the withdrawal stands."""

    rows: int = 0
    rejected: Rejects = field(default_factory=Rejects)
    mapping: dict[str, str | None] = field(default_factory=dict)
    """Each column and the field it is; None where it is left out."""
    guessed: dict[str, str] = field(default_factory=dict)
    unknown_columns: dict[str, str | None] = field(default_factory=dict)
    """Each column that nobody knows, and the nearest field."""
    header: list[str] = field(default_factory=list)
    encoding: str = ""
    delimiter: str = ""
    date_form: DateForm | None = None
    """Which of two numbers before a year is the day; None where every day can be read in one way only, or none is."""
    resumed_after: int = 0
    """The rows that an earlier import, which was cut off, had written."""
    share: float = 0.0
    """How much of the file has been read, from 0 to 1."""

    def count(self, done: Done) -> None:
        """Add what became of a page."""
        for name, figure in asdict(done).items():
            setattr(self, name, getattr(self, name) + figure)

    def figures(self) -> dict[str, int]:
        """What became of the rows that are written."""
        return {name: getattr(self, name) for name in asdict(Done())}


class CustomerFile:
    """A CSV file of customers, opened: its header is read, its rows are read as they are asked for.

    `date_form` says how 03/04/2026 is read: as it was said, or as the other days of the file show.

    Raises UnreadableTable when the file is no table, has no column that names an address, or `mapping` (column →
    field) or `country` (whose numbers those without + are) say what cannot be.
    """

    def __init__(
        self,
        path: Path,
        fields: Fields,
        *,
        relative_to: date | None = None,
        encoding: str | None = None,
        mapping: Mapping[str, str] | None = None,
        country: str | None = None,
        date_form: DateForm | None = None,
    ) -> None:
        self.path = path
        try:
            self.survey = survey(path, encoding)
            self.form = Form(self.survey.encoding, detect_delimiter(path, self.survey.encoding))
        except (LookupError, UnicodeError) as error:
            raise UnreadableTable(
                f"{path} is not text in {encoding}: {error}", hint="Leave --encoding out, or save it as CSV in UTF-8."
            ) from None
        line, header, rows = self._header(fields, mapping or {})
        self.mapping = propose(header, fields, mapping or {}, f"{path}:{line}", rows)
        self.header, self.columns, self.unknown = header, self.mapping.columns, self.mapping.unknown
        try:
            home = read_country(country) if country else None
        except ValueError as error:
            raise UnreadableTable(f"--country: {error}") from None
        named = max(at for at, cell in enumerate(header, 1) if cell.strip())
        dated = [at for at, name in enumerate(self.columns) if name and name in fields and fields[name].type == "date"]
        form = date_form or days.form_of(path, self.form, dated, line)
        self.reading = Reading(self.form.delimiter, line, self.columns, fields, named, home, relative_to, form)

    def __iter__(self) -> Iterator[Row | Rejection]:
        parser = Parser(self.reading)
        for chunk in chunks(self.path, self.form.encoding):
            parsed = parser.parse(chunk)
            found: list[Row | Rejection] = [
                Row(line, _contact(parsed.page, at)) for at, line in enumerate(parsed.page.lines)
            ]
            found += parsed.rejected
            found.sort(key=lambda one: one.line)
            yield from found

    def pages(self, making: Making, page_bytes: int, draw: Draw) -> Pages:
        """Its pages, ready to be written."""
        return Pages(making, chunks(self.path, self.form.encoding, page_bytes), self.survey.size, draw)

    def options(self, rules: IdentityRules) -> dict[str, Any]:
        """What decides, beside the content, what an import of this file does."""
        return {
            "form": [self.form.encoding, self.form.delimiter],
            "columns": self.columns,
            "country": self.reading.country,
            "date_form": self.reading.date_form,
            "relative_to": self.reading.relative_to and self.reading.relative_to.isoformat(),
            "fields": {name: one.type for name, one in self.reading.fields.items()},
            "join_by": sorted(rules.join_by),
            "shared": {kind: sorted(values) for kind, values in sorted(rules.shared.items())},
        }

    def _header(self, fields: Fields, said: Mapping[str, str]) -> tuple[int, list[str], list[list[str]]]:
        """The line that names the columns, its cells, and some of the rows below it.

        Titles may stand above it: it is the first that names a column by which somebody is known, else the first.
        A list without it can be read where `said` tells columns by their numbers; then its line is 0.
        """
        found = opening(self.path, self.form)
        if not found:
            raise UnreadableTable(f"{self.path} is empty.", hint="A CSV file begins with a line of column names.")
        plain = [record for record in found if not record.error and not any("@" in cell for cell in record.cells)]
        head = next((record for record in plain if names_somebody(record.cells, fields)), found[0])
        below = [record.cells for record in found if record.line > head.line]
        if not head.error and not any("@" in cell for cell in head.cells):
            return head.line, head.cells, below
        if not head.error and said and all(column.strip().startswith("#") for column in said):
            return 0, [said.get(f"#{at}", f"column {at}") for at in range(1, len(head.cells) + 1)], [head.cells, *below]
        raise UnreadableTable(
            f"{self.path}:{head.line}: this line is no header: {head.error or 'it holds a mail address'}",
            hint="The first line names the columns: "
            + ", ".join([*COLUMNS, *fields])
            + ". Where no line does, say what they are: --map '#1=email'.",
        )


def _contact(page: Page, at: int) -> Contact:
    columns, tags, properties, consents = page.said(at)
    return Contact(**columns, tags=tags, properties=properties, consents=consents)


async def import_customers(
    engine: AsyncEngine,
    path: Path,
    fields: Fields,
    *,
    now: datetime,
    relative_to: date | None = None,
    encoding: str | None = None,
    mapping: Mapping[str, str] | None = None,
    country: str | None = None,
    date_form: DateForm | None = None,
    rules: IdentityRules = DEFAULT,
    dry_run: bool = False,
    progress: Callable[[ImportReport], None] = lambda report: None,
    page_bytes: int = PIECE,
) -> ImportReport:
    """Take all rows of a file that can be taken, page by page; the same file again changes nothing.

    `relative_to` allows dates such as `+40d`; `date_form` says which number of 03/04/2026 is the day; `rules` say who
    is the same person. A dry run writes nothing and reports the same. `progress` is called after each page.

    Raises:
        UnreadableTable: the file is no table of customers, or `mapping` or `country` cannot be.
        AlreadyImporting: the same content is being imported at this moment.
    """
    file = CustomerFile(
        path, fields, relative_to=relative_to, encoding=encoding, mapping=mapping, country=country,
        date_form=date_form,
    )  # fmt: skip
    report = ImportReport(
        mapping=file.mapping.shown(),
        guessed=file.mapping.guessed,
        unknown_columns=file.unknown,
        header=file.header,
        encoding=file.form.encoding,
        delimiter=file.form.delimiter,
        date_form=file.reading.date_form,
    )
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(engine.connect())
        job: Job | None = None
        if dry_run:
            # One transaction that is never committed: later rows see what earlier ones would have written.
            await stack.enter_async_context(_undone(db))
            taken = await imports.taken(db, file.survey.digest, file.options(rules))
        else:
            await stack.enter_async_context(imports.alone(db, "customers", file.survey.digest, path.name))
            async with db.begin():
                taken = await imports.taken(db, file.survey.digest, file.options(rules))
            if taken is not None and taken.untouched:
                await _read_again(file, Making(file.reading, rules, now, ""), page_bytes, report, taken, progress)
                return report
            async with db.begin():
                job = await imports.begin(
                    db, "customers", digest=file.survey.digest, file=path.name, size=file.survey.size,
                    options=file.options(rules), now=now,
                )  # fmt: skip
            report.count(Done(**{name: job.report[name] for name in report.figures() if name in job.report}))
            report.resumed_after = job.rows_done
        making = Making(file.reading, rules, now, f"import of {path.name}")
        taking = _Taking(db, job, making, report, None if taken is None else taken.at)
        async for parsed in await stack.enter_async_context(file.pages(making, page_bytes, taking.draw)):
            await taking.take(parsed)
            report.share = min(1.0, parsed.end / file.survey.size)
            progress(report)
        if job is not None:
            async with db.begin():
                await imports.finish(db, job, now)
    return report


async def _read_again(
    file: CustomerFile,
    making: Making,
    page_bytes: int,
    report: ImportReport,
    taken: Taken,
    progress: Callable[[ImportReport], None],
) -> None:
    """Report a file that is in the records as it says: its rows are read, and none is written."""
    report.still_withdrawn = taken.report["still_withdrawn"]
    async with file.pages(making, page_bytes, _undrawn) as pages:
        async for parsed in pages:
            for rejection in parsed.rejected:
                report.rejected.add(rejection)
            report.rows += parsed.rows
            report.unchanged += parsed.sheet.rows
            report.share = min(1.0, parsed.end / file.survey.size)
            progress(report)


async def _undrawn(chunk: Chunk) -> int:
    """Numbers for rows that nobody will write."""
    return 0


@dataclass
class _Taking:
    """An import under way; without a job it is a dry run, in the transaction that is open."""

    db: AsyncConnection
    job: Job | None
    making: Making
    report: ImportReport
    taken_in: datetime | None
    """When the same content was taken in before."""
    outlook: Outlook = field(default_factory=Outlook)

    async def draw(self, chunk: Chunk) -> int:
        """The first number for the rows of a chunk; 0 where none or few of them will be new customers."""
        lines = chunk.data.count(b"\n") + 1
        if not self.outlook.news or chunk.line + lines <= self._written:
            return 0
        if self.job is None:
            return await writing.draw(self.db, lines)
        async with self.db.begin():
            return await writing.draw(self.db, lines)

    async def take(self, ready: Ready) -> None:
        """Write the rows of a page that are not written yet, and how far the import has come."""
        for rejection in ready.rejected:
            self.report.rejected.add(rejection)
        self.report.rows += ready.rows
        if not ready.rows or (self.job is not None and self.report.rows <= self.job.rows_done):
            return
        # The first rows of this page may be written, if an earlier import was cut into other pages.
        sheet = ready.sheet.after(self._written)
        self.report.count(
            await queue.in_turn(self.db, lambda: self._write(sheet, ready.line), alone=self.job is not None)
        )

    @property
    def _written(self) -> int:
        """The last line that an earlier import has written."""
        return int(self.job.report["line"]) if self.job is not None and self.job.report else 0

    async def _write(self, sheet: Sheet, line: int) -> Done:
        done = Done()
        if sheet.rows:
            said = self.making
            done = await writing.write(
                self.db, sheet, said.rules, now=said.now, source=said.source, outlook=self.outlook,
                taken_in=self.taken_in,
            )  # fmt: skip
        if self.job is not None:
            sums = {name: figure + getattr(done, name) for name, figure in self.report.figures().items()}
            await imports.reach(self.db, self.job, self.report.rows, {**sums, "line": line})
        return done


@asynccontextmanager
async def _undone(db: AsyncConnection) -> AsyncIterator[None]:
    """A transaction that leaves nothing behind."""
    transaction = await db.begin()
    try:
        yield
    finally:
        await transaction.rollback()
