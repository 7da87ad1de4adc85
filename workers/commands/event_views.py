"""How an import of events looks at the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rich.markup import escape

from activities.intake.event_files import EventFile
from activities.intake.event_report import EventReport
from workers.commands.terminal import err, notice, out

SHOWN = 20
"""Kinds of mistakes shown; the file of rejected rows and --json have every row."""


def show(report: EventReport, file: EventFile, rejects: Path | None, *, dry_run: bool) -> None:
    """What became of a file, or would; `rejects` is where its rejected rows are."""
    found = ", ".join(f"{column} → {meant}" for column, meant in file.columns.items() if meant != "-")
    err.print(escape(f"Columns: {found}"), soft_wrap=True)
    if file.date_form is not None:
        notice(f"Days such as 03/04/2026 have the {'day' if file.date_form == 'dmy' else 'month'} first.")
    if dry_run and "value" not in file.columns.values():
        notice("No column says what they were worth, so they would have no value. If one does: --map COLUMN=value")
    for first, others in _alike(report.rejected)[:SHOWN]:
        said = f"{file.path.name}:{first['line']}: {first['error']}"
        more = f" (and {others:,} {'row' if others == 1 else 'rows'} like it)" if others else ""
        err.print(f"[red]✗[/] {escape(said)}{more}", soft_wrap=True)
    if report.rejected_rows > len(report.rejected):
        notice(f"The first {len(report.rejected):,} of {report.rejected_rows:,} rejected rows are counted here.")
    if report.resumed_at:
        notice(f"The first {report.resumed_at:,} rows were stored by an earlier import that was cut off.")
    would = "would be " if dry_run else ""
    made = f", {report.created_customers:,} customers {would}created" if report.created_customers else ""
    out.print(
        f"{report.rows:,} {'row' if report.rows == 1 else 'rows'}: {report.stored:,} {would}stored, "
        f"{report.duplicates:,} were there already, "
        f"{report.rejected_rows:,} rejected{made}.",
        soft_wrap=True,
    )
    if report.heard and dry_run:
        notice(f"Journeys listen to {report.heard:,} of them: they may begin and go on. --history keeps them from it.")
    elif report.heard:
        left = "" if report.routed else " The workers carry on with the rest within a minute."
        notice(
            f"Journeys listen to {report.heard:,} of them: {report.began:,} runs began, {report.woken:,} woke.{left}"
        )
    if rejects is not None:
        notice(f"The rejected rows are in {rejects}: correct them there and import that file.")


def _alike(rejected: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """The first row of each kind of mistake, and how many others have it; what is quoted differs from row to row."""
    kinds: dict[tuple[str | None, str], list[dict[str, Any]]] = {}
    for one in rejected:
        kinds.setdefault((one["field"], re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "", one["error"])), []).append(one)
    return [(rows[0], len(rows) - 1) for rows in kinds.values()]
