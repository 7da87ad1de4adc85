"""`scores`: what makes up a score, and bringing rules of scores into force."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.status import Status
from sqlalchemy.ext.asyncio import AsyncEngine

from console.documents import document
from journeys import sales, scoring
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.scoring import LoadedScoring, Scoring
from journeys.segments import load_all
from journeys.timing import at_wall_time
from records.audience import rulebooks
from records.audience.rescoring import Preview, preview
from records.audience.rulebooks import SCORING, Rulebook
from records.audience.scorecards import Scorecard, scorecard
from records.people import customers
from records.people.customers import Customer
from workers.commands.going_on import foundation
from workers.commands.scorecards import show_card, show_preview
from workers.commands.shared import AsJson, person, records, run, settings
from workers.commands.terminal import Clock, err, notice, print_json
from workers.commands.worth import valuing

if TYPE_CHECKING:
    from journeys.figures import Rescored

app = typer.Typer()
MOST = 10
"""How many customers are named whom new rules would change most."""


@app.command("explain")
def explain(
    customer: Annotated[str, typer.Argument(help="Id, external id, email or phone.", metavar="CUSTOMER")],
    at: Annotated[
        str | None, typer.Option("--at", help="A past moment; without a zone: the workspace's.", metavar="TIME")
    ] = None,
    by: Annotated[
        Literal["then", "now"],
        typer.Option("--rules", help="By the rules in force at that moment, or by those of now."),
    ] = "then",
    as_json: AsJson = False,
) -> None:
    """Show what makes up a customer's score: each rule with its events, what is left of them, and what counts.

    At a past moment, what had happened up to then counts, also what we heard of later, by the rules that were in force
    then. Before there were any, it is by those of now.
    """
    clock, now = Clock(settings()), datetime.now(UTC)
    moment = None if at is None else _moment(at, clock)
    if moment is not None and moment > now:
        raise WaymarkError(f"{clock(moment)} is still to come.", hint="Give a past moment, or leave --at out for now.")

    async def load() -> tuple[Customer, Rulebook | None, Scorecard]:
        async with records() as engine, engine.connect() as db:
            who = await customers.find(db, customer)
            book = await rulebooks.find(db, SCORING, moment if by == "then" else None)
            if book is None:
                book = await rulebooks.find(db, SCORING)
            if book is None:
                return who, None, await scorecard(db, who.id, None, now, moment)
            rules = Scoring.model_validate(book.definition)
            return who, book, await scorecard(db, who.id, rules, now, moment, since=book.published_at)

    who, book, card = run(load())
    if as_json:
        rules = None
        if book is not None:
            rules = {
                "digest": book.digest, "published_at": book.published_at, "published_by": book.published_by,
                "in_force": "then" if book.published_at <= card.at else "later",
            }  # fmt: skip
        print_json({"external_id": who.external_id, "email": who.email, **document(card), "rules": rules})
        return
    show_card(who, card, clock, book)


@app.command("rescore")
def rescore(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    hand_over: Annotated[
        bool, typer.Option("--hand-over", help="Hand over to sales at once who reaches the threshold by the new rules.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the rules of definitions/scoring.yaml into force and work out everybody's score.

    First it says what changes. The work is a job of its own in Temporal: it goes on when this command is ended, and
    where it was when a worker dies. Who reaches the threshold of the handoff by new rules alone stays with marketing
    unless --hand-over is given; who reaches it afterwards goes to sales as ever.
    """
    loaded, now = _load(), datetime.now(UTC)
    team = sales.load(settings().definitions)
    thresholds = [rule.threshold for rule in team.rules if rule.threshold is not None] if team is not None else []
    threshold = min(thresholds, default=None)

    async def look() -> tuple[Preview, Rulebook | None]:
        async with records() as engine:
            # Fit may ask for stages and quintiles, which nobody has before the first night.
            await valuing(engine).settle(0, now)
            return await _look(engine, loaded, now, threshold)

    changes, book = run(look())
    same = book is not None and book.digest == loaded.digest
    if not as_json:
        show_preview(changes, threshold, same=same)
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "same_rules": same, "threshold": threshold, **document(changes)})
        return
    _agreed(yes or as_json, yes)
    done = run(_carry_out(loaded, hand_over, changes.customers))
    if as_json:
        print_json({"dry_run": False, "same_rules": same, "threshold": threshold, **document(changes),
                    "seen": done.seen, "changed": done.changed})  # fmt: skip
    else:
        notice(f"{done.seen:,} customers were looked at; {done.changed:,} scores changed.")


def _load() -> LoadedScoring:
    folder = settings().definitions
    if not (folder / "scoring.yaml").exists():
        raise WaymarkError(
            f"{folder / 'scoring.yaml'} is not there.", hint="Write the rules first: see docs/reference/scoring.md."
        )
    fields = load_fields(folder / "fields.yaml")
    return scoring.load(folder / "scoring.yaml", fields, [one.name for one in load_all(folder / "segments")])


async def _look(
    engine: AsyncEngine, loaded: LoadedScoring, now: datetime, threshold: int | None
) -> tuple[Preview, Rulebook | None]:
    async with engine.connect() as db:
        return await preview(db, loaded.rules, now, threshold, MOST), await rulebooks.find(db, SCORING)


def _agreed(quiet: bool, yes: bool) -> None:
    """Ask, where somebody sits there to answer."""
    if yes:
        return
    if quiet or not sys.stdin.isatty():
        raise WaymarkError("Nobody is there to say yes.", hint="Say --yes, or look first with --dry-run.")
    typer.confirm("Bring these rules into force?", abort=True, err=True)


async def _carry_out(loaded: LoadedScoring, hand_over: bool, customers_: int) -> Rescored:
    with Status("Waiting for a worker ...", console=err) as status:

        def tell(done: Rescored | None) -> None:
            if done is None:
                status.update("Waiting for a worker: `waymark worker` starts some ...")
                return
            share = f" ({done.seen / customers_:.0%})" if customers_ else ""
            status.update(f"{done.seen:,} of {customers_:,} looked at{share}, {done.changed:,} changed")

        async with foundation() as parts:
            try:
                return await parts.rescorer.carry_out(
                    loaded, by=person(), hand_over=hand_over, customers=customers_, tell=tell
                )
            except asyncio.CancelledError:
                notice("The work goes on without this command; the Temporal UI shows it as waymark-rescoring.")
                raise


def _moment(text: str, clock: Clock) -> datetime:
    try:
        plain = datetime.fromisoformat(text)
        return plain.astimezone(UTC) if plain.tzinfo else at_wall_time(plain.date(), plain.time(), clock.zone)
    except (ValueError, OverflowError):
        raise WaymarkError(
            f"{text!r} is no time.", hint="Write it like 2026-03-01, or 2026-03-01T09:30:00+01:00."
        ) from None
