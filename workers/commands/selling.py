"""`report forecast` and `report sales-day`: what is expected, and what a day brought."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from activities.sales.salesday import Day, Section, person_of, read_day, sections
from journeys import sales
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.sales import NOBODY, Sales
from records.sales import days as salesdays
from records.sales import pipeline
from records.sales.pipeline import Month
from workers.commands.amounts import money
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import Clock, notice, out, print_json, print_lines, table
from workers.settings import Settings

app = typer.Typer()

TITLES = {
    "unassigned": "Nobody has", "escalated": "Escalated", "expired": "Expired", "overdue": "Overdue",
    "due_next": "Due by the end of {day}", "new": "New", "claimed": "Claimed", "done": "Done",
}  # fmt: skip
WIDTH = 30
"""Characters of the longest bar."""


@app.command("forecast")
def forecast(as_json: AsJson = False) -> None:
    """Show what the deals under way are worth by the month in which they are expected to close.

    The weighted amount counts each deal by the chance of its stage, as definitions/handoff.yaml states it.
    """
    of = settings()
    team, currency = _team(of), of.workspace_currency

    async def load() -> list[Month]:
        async with records() as engine, engine.connect() as db:
            return await pipeline.forecast(db, {one.stage: one.chance for one in team.pipeline})

    months = run(load())
    if as_json:
        named = {"currency": currency} if currency is not None else {}
        print_lines({**asdict(one), **named} for one in months)
        return
    if not months:
        notice("There are no deals under way: `waymark tasks update` gives one a stage, an amount and a day.")
        return
    most = max(*(one.amount for one in months), Decimal(1))
    shown = table("month", "deals", "amount", "weighted", "", right=("deals", "amount", "weighted"))
    this_month = f"{datetime.now(Clock(settings()).zone):%Y-%m}"
    for one in months:
        bar = "█" * round(WIDTH * one.weighted / most)
        rest = "░" * (round(WIDTH * one.amount / most) - len(bar))
        past = " (past)" if one.month is not None and one.month < this_month else ""
        month = f"{one.month or 'no day'}{past}"
        shown.add_row(month, f"{one.count:,}", money(one.amount), money(one.weighted), bar + rest)
    out.print(shown)
    weighted, amount = (
        sum((one.weighted for one in months), Decimal(0)),
        sum((one.amount for one in months), Decimal(0)),
    )
    notice(f"{money(weighted, currency)} weighted, of {money(amount, currency)}.")


@app.command("sales-day")
def sales_day(
    rep: Annotated[str | None, typer.Option(help="Only this rep. Default: all of sales.", metavar="NAME")] = None,
    day: Annotated[str | None, typer.Option("--date", help="The day. Default: today.", metavar="DAY")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a day brought in sales, what is late and what comes: what its mail at the end of the day says."""
    of = settings()
    team, currency = _team(of), of.workspace_currency
    wanted = _day(day) if day is not None else None

    async def load() -> Day:
        async with records() as engine, engine.connect() as db:
            now = datetime.now(UTC)
            zone = team.week(person_of(team, rep, await salesdays.sellers(db)), of.workspace_time_zone).zone
            today = now.astimezone(zone).date()
            if wanted is not None and wanted > today:
                raise WaymarkError(f"{wanted} is still to come.", hint="Name a day that has begun.")
            return await read_day(db, team, rep, wanted or today, now, of.workspace_time_zone)

    found = run(load())
    if as_json:
        print_json(found)
        return
    out.print(f"{found.day:%A, %d %B %Y} ({ZoneInfo(found.time_zone).key})", style="bold")
    if found.whole is not None:
        numbers = ("new", "claimed", "done", "won", "open", "overdue")
        shown = table("rep", *numbers, right=numbers)
        for one in found.whole.reps:
            won = f"{one.won} ({money(one.won_amount, currency)})" if one.won_amount else str(one.won)
            shown.add_row(escape(one.rep), *map(str, (one.new, one.claimed, one.done, won, one.open, one.overdue)))
        out.print(shown)
    for part in sections(found):
        _section(part, found, currency)
    if found.pipeline:
        out.print("\nPipeline", style="bold")
    for deal in found.pipeline:
        worth = f"{money(deal.amount, currency)} (weighted {money(deal.weighted, currency)})"
        out.print(f"  {deal.stage}: {deal.count}, {worth}", markup=False)
    if found.is_empty:
        notice("Nothing happened, and nothing waits.")


def _section(part: Section, day: Day, currency: str | None) -> None:
    """The tasks of a section, each told once; those told elsewhere by their numbers."""
    also = (", also " if part.lines else ": ") + ", ".join(map(str, part.also)) if part.also else ""
    title = TITLES[part.name].format(day=f"{day.next_day:%A}")
    out.print(f"\n{title} ({part.count}){also}", markup=False, style="bold")
    reasons, zone = day.whole.reasons if day.whole is not None else {}, ZoneInfo(day.time_zone)
    shown = table("task", "title", "customer", "who", "what", right=("task",))
    shown.show_header = False
    for one in part.lines:
        due = f"due {one.due_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if one.due_at is not None else None
        worth = money(one.amount, currency) if one.amount is not None else None
        ended = one.outcome or ("expired" if one.ended_at is not None else due)
        what = [ended, worth, one.reason, reasons.get(one.id)]
        said = ", ".join(each for each in what if each)
        shown.add_row(f"  {one.id}", escape(one.title), escape(one.customer), escape(one.rep or "—"), escape(said))
    if part.lines:
        out.print(shown)


def _team(of: Settings) -> Sales:
    return sales.load(of.definitions, load_fields(of.definitions / "fields.yaml")) or NOBODY


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WaymarkError(f"--date: {text[:40]!r} is no day.", hint="Write YYYY-MM-DD.") from None
