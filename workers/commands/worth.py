"""`report rfm` and `report lifecycle`: what customers' orders come to, and how far customers have come."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys import lifecycle as rules_of_lifecycle
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.lifecycle import Lifecycle, Orders
from journeys.segments import load_all
from journeys.timing import at_wall_time
from records.audience import lifecycle, values
from records.audience.values import Rfm
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import Clock, notice, print_json
from workers.commands.worth_views import FIELDS, Picture, Standing, draw_moves, draw_stages, standing_document

if TYPE_CHECKING:
    from activities.figures.valuing import Valuing

app = typer.Typer()
FIRST = 20
"""Customers who are shown below the picture."""


@app.command("rfm")
def rfm(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="Only orders before this day, in the workspace's time zone. Default: before now.",
            metavar="DATE",
        ),
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="The event of an order. Default: that of lifecycle.yaml.", metavar="NAME")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all customers as CSV on standard output.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="At most so many. Default: 20 below the picture, else all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show recency, frequency and money of everybody who ordered, each with its quintile: 5 is best.

    With --json, and with --csv, a line for each customer; else a picture of all and the first few.
    """
    of, now = settings(), datetime.now(UTC)
    clock = Clock(of)
    before = now if as_of is None else at_wall_time(_day(as_of), time(), clock.zone)
    rules = _rules()
    name = event or (rules.orders if rules is not None else Orders()).event
    picture = Picture(limit or FIRST)

    async def stream() -> None:
        write: Callable[[Rfm], object] = _json_line if as_json else _csv_line() if as_csv else picture.add
        async with (
            records(of) as engine,
            engine.connect() as db,
            aclosing(values.rfm(db, name, before, clock.zone)) as lines,
        ):
            left = limit if as_json or as_csv else None
            async for line in lines:
                write(line)
                left = None if left is None else left - 1
                if left == 0:
                    return

    run(stream())
    if not (as_json or as_csv):
        picture.show(name, clock(before))


@app.command("lifecycle")
def lifecycle_(
    days: Annotated[int, typer.Option(min=1, max=3660, help="Moves of the last so many days.", metavar="N")] = 30,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Work out values and stages now, instead of by night.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how many customers are in each stage of the lifecycle, and who came from where to where.

    The first time, the stages are worked out for it.
    """
    rules, now = _rules(), datetime.now(UTC)
    if rules is None:
        raise WaymarkError(
            "There are no stages: definitions/lifecycle.yaml is missing.", hint="`waymark init` writes one."
        )

    async def load() -> Standing:
        async with records() as engine:
            work = valuing(engine)
            await (work.refresh_all(now) if refresh else work.settle(0, now))
            async with engine.connect() as db:
                worked_out = await values.evaluated_at(db) or now
                moves = await lifecycle.moves(db, now - timedelta(days=days), now)
                return Standing(worked_out, await lifecycle.counts(db), moves)

    found = run(load())
    if as_json:
        print_json(standing_document(rules, found, days))
        return
    draw_stages(rules, found)
    draw_moves(rules, found.moves, days)
    notice(f"Worked out at {Clock(settings())(found.worked_out)}; every night, and after each customer's events.")


def valuing(engine: AsyncEngine) -> Valuing:
    """What works out values and stages, for commands that tell no journey: the sweep does."""
    # Temporal's library, which its activities are declared with, takes as long to import as the rest of a report.
    from activities.figures.valuing import Valuing

    return Valuing(engine, None, _rules, settings().workspace_time_zone)


def _rules() -> Lifecycle | None:
    folder = settings().definitions
    named = [one.name for one in load_all(folder / "segments")]
    return rules_of_lifecycle.load(folder / "lifecycle.yaml", load_fields(folder / "fields.yaml"), named)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        day = None
    if day is None or not 1900 <= day.year < 2200:
        raise WaymarkError(f"{text!r} is no day between 1900 and 2200.", hint="Write it as YYYY-MM-DD.")
    return day


def _money(value: Decimal) -> str:
    """Exactly, in digits: 0.3 for three tenths, 1200 for a round sum."""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _json_line(one: Rfm) -> None:
    # Written by hand: JSON knows no limit to the digits of a number, json.dumps does.
    customer, money = json.dumps(one.customer, ensure_ascii=False), _money(one.monetary)
    figures = f'"recency_days": {one.recency_days}, "frequency": {one.frequency}, "monetary": {money}'
    sys.stdout.write(f'{{"customer": {customer}, {figures}, "r": {one.r}, "f": {one.f}, "m": {one.m}}}\n')


def _csv_line() -> Callable[[Rfm], object]:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    return lambda one: writer.writerow(
        (one.customer, one.recency_days, one.frequency, _money(one.monetary), one.r, one.f, one.m)
    )
