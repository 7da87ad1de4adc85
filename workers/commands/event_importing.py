"""`events import`: what happened to customers, by the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from activities.intake.event_files import EventFile, Reading
from activities.intake.incoming import Unknown
from journeys.errors import WaymarkError
from journeys.identities import load_identity
from workers.commands.event_views import show
from workers.commands.files import DayOrMonth, DryRun, Encoding, Rejected, spare
from workers.commands.going_on import foundation
from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import err, print_json

if TYPE_CHECKING:
    from activities.intake.event_report import EventReport
    from activities.intake.event_report import Progress as Reached

app = typer.Typer()


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names the columns.", metavar="FILE.csv")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="What a column is: customer, external_id, email, phone, event, at, value, key, properties (JSON), "
            "or the name of a property; `column=-` leaves it out.",
            metavar="COLUMN=FIELD",
        ),
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="The name of all events, such as order.placed, where no column has it.")
    ] = None,
    unknown: Annotated[
        Unknown | None,
        typer.Option(help="What becomes of rows of somebody who is not known. Default: WAYMARK_UNKNOWN_CUSTOMERS."),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Whose clocks show times without a zone. Default: the workspace's.", metavar="ZONE"),
    ] = None,
    date_form: DayOrMonth = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Keep the events and let no journey begin or go on by them. Without it, old events too begin "
            "journeys and wake runs, as if they came late.",
        ),
    ] = False,
    dry_run: DryRun = False,
    rejects: Rejected = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Import events from a CSV file; importing it again changes nothing.

    Columns are customer (or external_id, email, phone), event, at, value and key; all others become properties. Rows
    that cannot be taken are reported with their line; all others are stored, and then carried to the journeys. An
    import that was cut off goes on where it stood when the same file is imported again.
    """
    of, now = settings(), datetime.now(UTC)
    spare(file, rejects)
    zone = _zone(time_zone or of.workspace_time_zone)
    opened = EventFile(file, Reading(zone, _mapping(columns or []), event, date_form, encoding), now)
    beside = file.with_name(file.stem + ".rejects.csv") if os.access(file.parent, os.W_OK) else None
    written = rejects or (None if dry_run else beside)
    report = run(
        _import(opened, now, unknown or of.unknown_customers, columns, event, str(zone), date_form,
                history=history, dry_run=dry_run, rejects=written, quiet=as_json)
    )  # fmt: skip
    if written is not None and not report.rejected_rows:
        written.unlink(missing_ok=True)
        written = None
    if as_json:
        shown = {name: value for name, value in asdict(report).items() if name not in ("first", "rejects_at")}
        form = {
            "encoding": opened.form.encoding, "delimiter": opened.form.delimiter, "columns": opened.columns,
            "date_form": opened.date_form,
        }  # fmt: skip
        print_json({**shown, "dry_run": dry_run, **form, "rejects": str(written) if written else None})
    else:
        show(report, opened, written, dry_run=dry_run)


async def _import(
    file: EventFile, now: datetime, unknown: Unknown, columns: list[str] | None, event: str | None, zone: str,
    date_form: str | None, *, history: bool, dry_run: bool, rejects: Path | None, quiet: bool,
) -> EventReport:  # fmt: skip
    # They have to do with Temporal: see `going_on`.
    from activities.entering.ingesting import Ingesting
    from activities.intake.event_import import EventImport

    options = {"map": sorted(columns or []), "event": event, "zone": zone, "date_form": date_form}
    of = settings()
    rules = load_identity(of.definitions / "identity.yaml")
    async with foundation(lazy=True) as parts:
        work = EventImport(
            Ingesting(parts.engine, parts.audience.router, rules), file, unknown=unknown, history=history,
            rejects=rejects, options=options,
            afterwards=parts.upkeep.history if history else parts.audience.look_after,
            in_the_end=partial(parts.valuing.settle, heard=not history),
        )  # fmt: skip
        with _progress(quiet=quiet) as tell:
            return await (work.rehearse if dry_run else work.run)(now, tell)


def _mapping(columns: list[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for one in columns:
        column, equals, name = one.rpartition("=")
        if not equals or not column.strip() or not name.strip():
            raise WaymarkError(
                f"--map {one!r} says nothing.", hint="Write --map column=field, such as --map 'Order ID=key'."
            )
        if column in said:
            raise WaymarkError(f"--map names the column {column!r} twice.", hint="Say once what it is.")
        said[column] = name.strip()
    return said


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise WaymarkError(f"{name!r} is no time zone.", hint="Write it like Europe/Berlin or UTC.") from None


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Reached], None]]:
    """How far the import has come, with its rate and the time left; nothing where nobody watches."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        _Rate(), TimeRemainingColumn(), console=err, transient=True, disable=quiet or not err.is_terminal,
    ) as bar:  # fmt: skip
        tasks: dict[str, Any] = {}

        def tell(reached: Reached) -> None:
            if reached.doing not in tasks:
                tasks[reached.doing] = bar.add_task(reached.doing.capitalize(), total=reached.total)
            bar.update(tasks[reached.doing], completed=reached.done, total=reached.total)

        yield tell


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        rate = task.completed / task.elapsed if task.elapsed else 0
        return Text(f"{rate:,.0f}/s", style="progress.data.speed")
