"""`import`: customers from a CSV file."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from activities.intake.importing import ImportReport, import_customers
from activities.intake.instants import DateForm
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.identities import load_identity
from workers.commands.files import DayOrMonth, DryRun, Encoding, Rejected, spare
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import err, notice, out

app = typer.Typer()

SHOWN = 20
"""Rejected rows shown to a person; the file of rejected rows and --json have all."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names the columns.", metavar="FILE.csv")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="What a column is; `column=-` leaves it out, `#3` is the third column.",
            metavar="COLUMN=FIELD",
        ),
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Whose phone numbers those without + are, where a row names no country.")
    ] = None,
    date_form: DayOrMonth = None,
    dry_run: DryRun = False,
    rejects: Rejected = None,
    encoding: Encoding = None,
    relative_to: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Allow dates such as +40d, counted from this day.", metavar="DAY"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import customers from a CSV file; importing it again changes nothing.

    Rows that cannot be taken are reported with their line; all others are taken. An import that was cut off goes on
    where it stood when the same file is imported again.
    """
    day = relative_to.date() if relative_to else None
    said = _said(columns or [])
    spare(file, rejects)
    report = run(_import(file, said, country, date_form, dry_run=dry_run, encoding=encoding, day=day, quiet=as_json))
    written = _write_rejects(report, rejects or (None if dry_run else file.with_name(file.stem + ".rejects.csv")))
    if as_json:
        _print(report, written, dry_run=dry_run)
        return
    show(report, file, dry_run=dry_run)
    if written is not None:
        notice(f"The rejected rows are in {written}: correct them there and import that file.")


async def _import(
    file: Path,
    said: Mapping[str, str],
    country: str | None,
    date_form: DateForm | None,
    *,
    dry_run: bool,
    encoding: str | None,
    day: date | None,
    quiet: bool,
) -> ImportReport:
    of = settings()
    fields = load_fields(of.definitions / "fields.yaml")
    rules = load_identity(of.definitions / "identity.yaml")
    async with records(of) as engine:
        with _progress(file, quiet=quiet) as progress:
            return await import_customers(
                engine,
                file,
                fields,
                now=datetime.now(UTC),
                relative_to=day,
                encoding=encoding,
                mapping=said,
                country=country,
                date_form=date_form,
                rules=rules,
                dry_run=dry_run,
                progress=progress,
            )


def _said(columns: list[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for one in columns:
        column, equals, name = one.rpartition("=")
        if not equals or not column.strip():
            raise WaymarkError(
                f"--map {one!r} says nothing.", hint="Write --map column=field, such as --map 'Mail address=email'."
            )
        if column in said:
            raise WaymarkError(f"--map names the column {column!r} twice.", hint="Say once what it is.")
        said[column] = name
    return said


@contextmanager
def _progress(file: Path, *, quiet: bool) -> Iterator[Callable[[ImportReport], None]]:
    """How far the import has come, with its rate and the time left; nothing where nobody watches."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"), _Rate(),
        TimeRemainingColumn(), console=err, transient=True, disable=quiet or not err.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(f"Reading {escape(file.name)}", total=1.0, rows=0)
        yield lambda report: bar.update(task, completed=report.share, rows=report.rows)


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        rate = task.fields["rows"] / task.elapsed if task.elapsed else 0
        return Text(f"{rate:,.0f} rows/s", style="progress.data.speed")


def _write_rejects(report: ImportReport, path: Path | None) -> Path | None:
    """Where the rejected rows are; None where there are none, or no place for them."""
    if path is None or not len(report.rejected):
        return None
    try:
        report.rejected.write(path, report.header)
    except OSError as error:
        notice(f"The rejected rows could not be written to {path}: {error.strerror}. Name a file with --rejects.")
        return None
    return path


def _print(report: ImportReport, rejects: Path | None, *, dry_run: bool) -> None:
    """The report as one JSON document. The rejected rows come last, one by one: there may be a million."""
    document = {
        "rows": report.rows,
        **report.figures(),
        "dry_run": dry_run,
        "resumed_after": report.resumed_after,
        "encoding": report.encoding,
        "delimiter": report.delimiter,
        "date_form": report.date_form,
        "mapping": report.mapping,
        "guessed": report.guessed,
        "unknown_columns": report.unknown_columns,
        "rejects": None if rejects is None else str(rejects),
    }
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2)[:-2] + ',\n  "rejected": [')
    for number, one in enumerate(report.rejected):
        entry = {"line": one.line, "field": one.mistakes[0].field, "error": one.error}
        sys.stdout.write((",\n    " if number else "\n    ") + json.dumps(entry))
    sys.stdout.write("\n  ]\n}\n" if len(report.rejected) else "]\n}\n")


def show(report: ImportReport, file: Path, *, dry_run: bool = False) -> None:
    """The report for a person."""
    for column, near in report.unknown_columns.items():
        meant = f"; did you mean {near}? Then: --map '{column}={near}'" if near else ""
        err.print(f"[yellow]![/] Column {escape(repr(column))} is not known and was left out{meant}", soft_wrap=True)
    for column, name in report.guessed.items():
        err.print(f"[yellow]![/] Column {escape(repr(column))} was taken for {name}", soft_wrap=True)
    if report.date_form is not None:
        notice(f"Days such as 03/04/2026 have the {'day' if report.date_form == 'dmy' else 'month'} first.")
    if dry_run:
        found = ", ".join(f"{column} → {name}" for column, name in report.mapping.items() if name)
        err.print(escape(f"Columns: {found}"), soft_wrap=True)
    for rejection in report.rejected.first[:SHOWN]:
        err.print(f"[red]✗[/] {escape(f'{file.name}:{rejection.line}: {rejection.error}')}", soft_wrap=True)
    if len(report.rejected) > SHOWN:
        notice(f"... and {len(report.rejected) - SHOWN:,} more.")
    if report.resumed_after:
        notice(f"The first {report.resumed_after:,} rows were written by an earlier import that was cut off.")
    would = "would be " if dry_run else ""
    merged = f"{report.merged:,} {would}merged, " if report.merged else ""
    out.print(
        f"{report.rows:,} rows: {report.created:,} {would}created, {report.updated:,} {would}updated, {merged}"
        f"{report.unchanged:,} unchanged, {len(report.rejected):,} rejected.",
        soft_wrap=True,
    )
    if report.still_withdrawn:
        notice(f"{report.still_withdrawn:,} contacts withdrew a consent that the file grants; the withdrawal stands.")
