"""`import`: customers from a CSV file."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from activities.importing import ImportReport, import_customers, write_rejects
from journeys.fields import load_fields
from workers.commands.shared import AsJson, err, notice, out, print_json, records, run, settings

SHOWN = 20
"""Rejected rows shown to a person; --rejects and --json have all."""


def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names the columns.", metavar="FILE.csv")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report only; write nothing.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Write rejected rows to this CSV file, to be corrected.", metavar="FILE")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file. Default: detected.")] = None,
    relative_to: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Allow dates such as +40d, counted from this day.", metavar="DAY"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import customers from a CSV file; importing it again changes nothing.

    Rows that cannot be taken are reported with their line; all others are taken.
    """
    day = relative_to.date() if relative_to else None
    report = run(_import(file, dry_run=dry_run, encoding=encoding, relative_to=day))
    if rejects is not None:
        write_rejects(rejects, report)
    if as_json:
        print_json({**asdict(report), "dry_run": dry_run})
    else:
        show(report, file, dry_run=dry_run)
        if rejects is not None and report.rejected:
            notice(f"The rejected rows are in {rejects}.")


async def _import(file: Path, *, dry_run: bool, encoding: str | None, relative_to: date | None) -> ImportReport:
    of = settings()
    fields = load_fields(of.definitions / "fields.yaml")
    async with records(of) as engine:
        with err.status(f"Reading {file.name} ...") as status:
            return await import_customers(
                engine,
                file,
                fields,
                now=datetime.now(UTC),
                relative_to=relative_to,
                encoding=encoding,
                dry_run=dry_run,
                progress=lambda report: status.update(f"Reading {file.name}: {report.rows:,} rows"),
            )


def show(report: ImportReport, file: Path, *, dry_run: bool = False) -> None:
    """The report for a person."""
    for column, near in report.unknown_columns.items():
        meant = f"; did you mean {near}?" if near else ""
        err.print(f"[yellow]![/] Column {escape(repr(column))} is not known and was left out{meant}", soft_wrap=True)
    for rejection in report.rejected[:SHOWN]:
        err.print(f"[red]✗[/] {escape(f'{file.name}:{rejection.line}: {rejection.error}')}", soft_wrap=True)
    if len(report.rejected) > SHOWN:
        notice(f"... and {len(report.rejected) - SHOWN:,} more; --rejects FILE writes all of them.")
    would = "would be " if dry_run else ""
    out.print(
        f"{report.rows:,} rows: {report.created:,} {would}created, {report.updated:,} {would}updated, "
        f"{report.unchanged:,} unchanged, {len(report.rejected):,} rejected.",
        soft_wrap=True,
    )
    if report.still_withdrawn:
        notice(f"{report.still_withdrawn:,} contacts withdrew a consent that the file grants; the withdrawal stands.")
