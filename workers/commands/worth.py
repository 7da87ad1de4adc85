"""`report rfm` and `report lifecycle`: what customers' orders come to, and how far customers have come."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.figures.valuing import Valuing
from journeys import lifecycle as rules_of_lifecycle
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.lifecycle import Lifecycle, Orders
from journeys.segments import load_all
from journeys.timing import at_wall_time
from records.audience import lifecycle, values
from records.audience.lifecycle import Moved
from records.audience.values import Rfm
from workers.commands.shared import AsJson, Limit, records, run, settings
from workers.commands.terminal import Clock, notice, out, print_json, table

app = typer.Typer()

SHADES = (" ", "░", "▒", "▓", "█")
BAR = 40
"""Characters of the longest bar."""
FIELDS = ("customer", "recency_days", "frequency", "monetary", "r", "f", "m")


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
    limit: Limit = 20,
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
    picture = _Picture(limit)

    async def stream() -> None:
        write: Callable[[Rfm], object] = _json_line if as_json else _csv_line() if as_csv else picture.add
        async with (
            records(of) as engine,
            engine.connect() as db,
            aclosing(values.rfm(db, name, before, clock.zone)) as lines,
        ):
            async for line in lines:
                write(line)

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

    async def load() -> _Stages:
        async with records() as engine:
            work = valuing(engine)
            await (work.refresh_all(now) if refresh else work.settle(0, now))
            async with engine.connect() as db:
                worked_out = await values.evaluated_at(db) or now
                moves = await lifecycle.moves(db, now - timedelta(days=days), now)
                return _Stages(worked_out, await lifecycle.counts(db), moves)

    found = run(load())
    if as_json:
        print_json(_document(rules, found, days))
        return
    _draw_stages(rules, found)
    _draw_moves(rules, found.moves, days)
    notice(f"Worked out at {Clock(settings())(found.worked_out)}; every night, and after each customer's events.")


def valuing(engine: AsyncEngine) -> Valuing:
    """What works out values and stages, for commands that tell no journey: the sweep does."""
    return Valuing(engine, None, _rules, settings().workspace_time_zone)


@dataclass(frozen=True, slots=True)
class _Stages:
    worked_out: datetime
    counts: dict[str | None, int]
    moves: list[Moved]


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


class _Picture:
    """All customers in 25 fields, recency against frequency, and the first few one by one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first: list[Rfm] = []
        self._counts: Counter[tuple[int, int]] = Counter()
        self._money: Counter[tuple[int, int]] = Counter()

    def add(self, one: Rfm) -> None:
        self._counts[one.r, one.f] += 1
        self._money[one.r, one.f] += one.m
        if len(self._first) < self._limit:
            self._first.append(one)

    def show(self, event: str, before: str) -> None:
        total = self._counts.total()
        if not total:
            notice(f"Nobody has an event {event} before {before}.")
            return
        most = max(self._counts.values())
        right = [f"f {f}" for f in range(1, 6)]
        grid = table("", *right, right=right)
        for r in range(5, 0, -1):
            grid.add_row(f"r {r}", *(self._cell(r, f, most) for f in range(1, 6)))
        out.print(grid)
        notice("How many, by recency and frequency; after the dot their mean quintile of money. 5 is best.")
        numbers = FIELDS[1:]
        shown = table(*FIELDS, right=numbers)
        for one in self._first:
            shown.add_row(
                escape(one.customer), f"{one.recency_days:,}", f"{one.frequency:,}", f"{one.monetary:,.2f}",
                str(one.r), str(one.f), str(one.m),
            )  # fmt: skip
        if self._first:
            out.print(shown)
        more = f"; the first {len(self._first):,} are shown, --csv prints all" if total > len(self._first) else ""
        notice(f"{total:,} customers with an event {event} before {before}{more}.")

    def _cell(self, r: int, f: int, most: int) -> str:
        count = self._counts[r, f]
        if not count:
            return "· " + SHADES[0]
        shade = SHADES[1 + min(3, 4 * (count - 1) // most)]
        return f"{count:,}·{self._money[r, f] / count:.0f} {shade}"


def _document(rules: Lifecycle, found: _Stages, days: int) -> dict[str, Any]:
    known = [one.stage for one in rules.stages]
    others = sorted(stage for stage in found.counts if stage is not None and stage not in known)
    return {
        "worked_out_at": found.worked_out,
        "customers": sum(found.counts.values()),
        "stages": [
            {"stage": stage, "title": rules.title_of(stage), "customers": found.counts.get(stage, 0)}
            for stage in [*known, *others]
        ],
        "in_none": found.counts.get(None, 0),
        "days": days,
        "moves": [{"from": one.old, "to": one.new or None, "customers": one.customers} for one in found.moves],
    }


def _draw_stages(rules: Lifecycle, found: _Stages) -> None:
    total, most = sum(found.counts.values()) or 1, max(found.counts.values(), default=0) or 1
    shown = table("stage", "customers", "share", "", right=("customers", "share"))
    stages: list[str | None] = [one.stage for one in rules.stages]
    for stage in [*stages, *sorted((stage for stage in found.counts if stage not in stages), key=str)]:
        count = found.counts.get(stage, 0)
        title = rules.title_of(stage) if stage is not None else "(in none)"
        bar = "█" * round(BAR * count / most) or ("▏" if count else "")
        shown.add_row(escape(title), f"{count:,}", f"{count / total:.1%}", bar)
    out.print(shown)


def _draw_moves(rules: Lifecycle, moves: list[Moved], days: int) -> None:
    if not moves:
        notice(f"Nobody moved in the last {days} days.")
        return
    counts = {(one.old, one.new): one.customers for one in moves}
    order = [one.stage for one in rules.stages]
    seen = [stage for stage in order if any(stage in pair for pair in counts)]
    seen += sorted({stage for pair in counts for stage in pair} - {*seen})
    titles = [rules.title_of(stage) or "(in none)" for stage in seen]
    shown = table(
        f"moves in {days} days", *(f"→ {title}" for title in titles), right=[f"→ {title}" for title in titles]
    )
    for old, title in zip(seen, titles, strict=True):
        row = [f"{counts[old, new]:,}" if (old, new) in counts else "·" for new in seen]
        if any(cell != "·" for cell in row):
            shown.add_row(escape(title), *row)
    out.print(shown)
