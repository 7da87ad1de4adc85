"""`rehearse`: see what journeys will do, on the real engine, before anybody gets anything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from journeys.errors import WaymarkError
from journeys.fields import read_datetime
from journeys.source import Problem
from workers.commands.shared import AsJson, settings
from workers.commands.terminal import err, notice, out, print_lines, table
from workers.display import Stopping
from workers.settings import Settings

if TYPE_CHECKING:
    from console.rehearsal import Rehearsed
    from workers.rehearsal.rehearsing import Plan, Progress, Report

app = typer.Typer()

SHOWN = 50
"""Rows that were left out and are told one by one."""


@app.command("rehearse")
def rehearse(
    journeys: Annotated[
        list[str], typer.Argument(help="Names of maps in definitions/journeys, or files.", metavar="JOURNEY...")
    ],
    customers: Annotated[Path, typer.Option(help="The contacts, as `waymark import` takes them.", metavar="FILE.csv")],
    events: Annotated[
        Path | None,
        typer.Option(
            help="What happens: customer, event, at (a time with its zone, or +2d3h), value, message, properties.",
            metavar="FILE.csv",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="When it starts; without a zone: the workspace's. Default: this minute.", metavar="TIME"
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days it lasts.")] = 60,
    html: Annotated[
        Path | None, typer.Option(help="Write a page to show around: who gets what when.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse journeys: the real workflows, days in seconds, and nothing leaves.

    A database and a Temporal server of its own are started and thrown away; the live ones are not touched. With
    --json one line a message, sent or not, then one a run.
    """
    of = settings()
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise WaymarkError(f"{html} cannot be written.", hint="Name a file in a folder that is there.")
    begins = _start(start, of)
    # A rehearsal needs all of production, which takes a second to import.
    from workers.rehearsal.planning import Unrehearsable, plan

    try:
        planned = plan(of, journeys, customers, events, begins, days)
    except Unrehearsable as error:
        _tell_problems(error.problems)
        raise typer.Exit(1) from None
    began = time.monotonic()
    report = asyncio.run(_rehearse(of, planned))
    if report is None:
        raise typer.Exit(130)
    _tell_rejects(report, customers)
    if html is not None:
        from console.rehearsal import page

        html.write_text(page(report.rehearsed), encoding="utf-8")
    if as_json:
        print_lines(report.rehearsed.documents())
    else:
        _show(report.rehearsed)
    notice(f"{days} days of {len(report.rehearsed.contacts):,} contacts in {time.monotonic() - began:.0f} s.")
    if html is not None:
        notice(f"The page is {html}.")


async def _rehearse(of: Settings, plan: Plan) -> Report | None:
    """None when somebody stopped it."""
    from workers.rehearsal.rehearsing import rehearse as run_rehearsal
    from workers.rehearsal.scratch import scratch

    stopping = Stopping()
    try:
        with _days(plan) as progress:
            async with scratch(of.temporal_binary, of.cache, notice) as place:
                return await run_rehearsal(of, plan, place, progress)
    except asyncio.CancelledError:
        if not stopping.asked:
            raise
        return None
    finally:
        stopping.end()


def _start(text: str | None, of: Settings) -> datetime:
    if text is None:
        return datetime.now(UTC).replace(second=0, microsecond=0)
    zone = ZoneInfo(of.workspace_time_zone)
    try:
        plain = datetime.fromisoformat(text)
        aware = plain if plain.tzinfo else plain.replace(tzinfo=zone)
        return read_datetime(aware.isoformat()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise WaymarkError(
            f"--from {text!r} is no time.", hint="Write it like 2026-03-01T09:00 or 2026-03-01T09:00:00+01:00."
        ) from None


def _tell_problems(problems: list[Problem]) -> None:
    for problem in problems:
        err.print(f"[red]✗[/] {escape(str(problem))}", soft_wrap=True)
    notice(f"{len(problems)} problem{'s' * (len(problems) != 1)}. Nothing was rehearsed.")


def _tell_rejects(report: Report, customers: Path) -> None:
    left_out = [f"{customers.name}:{one.line}: {one.error}" for one in report.imported.rejected]
    left_out += [f"{one.file}:{one.line}: {one.reason}" for one in report.rejects]
    for column, near in report.imported.unknown_columns.items():
        notice(f"Column {column!r} is not known and was left out" + (f"; did you mean {near}?" if near else ""))
    for one in left_out[:SHOWN]:
        err.print(f"[red]✗[/] {escape(one)}", soft_wrap=True)
    if left_out:
        more = f" ({len(left_out) - SHOWN:,} more are not shown)" if len(left_out) > SHOWN else ""
        notice(f"{len(left_out):,} row{'s' * (len(left_out) != 1)} left out; the rest was rehearsed{more}.")
    if report.history:
        notice(f"{report.history:,} event{'s' * (report.history != 1)} before the start are taken as the past.")


def _show(came: Rehearsed) -> None:
    channels = sorted({line.touch.channel for line in came.lines})
    shown = table("journey", "runs", *channels, "not sent", "outcomes", right=("runs", *channels, "not sent"))
    for name, title in came.journeys.items():
        lines = [line.touch for line in came.lines if line.touch.journey == name]
        sent = Counter(one.channel for one in lines if one.status == "sent")
        outcomes = Counter(run.outcome or "under way" for run in came.runs if run.journey == name)
        shown.add_row(
            escape(title), f"{outcomes.total():,}", *(f"{sent[channel]:,}" for channel in channels),
            f"{len(lines) - sent.total():,}",
            ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes.most_common()) or "—",
        )  # fmt: skip
    out.print(shown)


@contextmanager
def _days(plan: Plan) -> Iterator[Progress]:
    columns = (
        TextColumn("Day {task.completed:.0f} of {task.total}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[messages]:,} messages"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        bar = bars.add_task("days", total=plan.days, messages=0)
        told = _quarters(plan.days)

        def show(days: float, messages: int) -> None:
            bars.update(bar, completed=days, messages=messages)
            if not err.is_terminal and told(days):
                notice(f"Day {days:.0f} of {plan.days}: {messages:,} messages so far")

        yield show


def _quarters(days: int) -> Callable[[float], bool]:
    """Says once for each quarter of the days that it has come."""
    due = [days * part / 4 for part in (1, 2, 3)]

    def come(now: float) -> bool:
        before = len(due)
        due[:] = [one for one in due if one > now]
        return len(due) < before

    return come
