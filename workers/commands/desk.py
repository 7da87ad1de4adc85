"""`tasks claim|snooze|reassign|update|done`: working on one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from activities.sales.deals import read_amount
from journeys.errors import WaymarkError
from journeys.fields import read_datetime
from journeys.sales import Outcome
from journeys.timing import Duration, add, at_wall_time, parse_time_of_day
from records.sales.tasks import Task
from workers.commands.going_on import foundation
from workers.commands.shared import AsJson, person, run, settings
from workers.commands.tasks import Number, deal, one_of
from workers.commands.terminal import Clock, notice, print_json

if TYPE_CHECKING:
    from activities.sales.desk import Desk

app = typer.Typer()
Rep = Annotated[str | None, typer.Option("--rep", help="Who works on it. Default: you.", metavar="NAME")]


@asynccontextmanager
async def _desk() -> AsyncIterator[Desk]:
    """Where reps work. What Temporal cannot be told now, because it is away or not named, it finds out later."""
    async with foundation(lazy=True) as parts:
        yield parts.desk


@app.command("claim")
def claim(task: Number, rep: Rep = None, as_json: AsJson = False) -> None:
    """Take a task; of two who try at once, one gets it."""

    async def take() -> Task:
        async with _desk() as desk:
            return await desk.claim(task, rep or person(), datetime.now(UTC))

    taken = run(take())
    if as_json:
        print_json(taken)
        return
    notice(f"Task {taken.id} is yours, {taken.claimed_by}: {taken.title}")
    notice(f"  why: {taken.because or '—'}\n  who: `waymark customers show {taken.customer_id}`")


@app.command("snooze")
def snooze(
    task: Number,
    until: Annotated[
        str, typer.Option(help='A day, a moment, or a span from now: 2026-12-01, "2026-12-01T09:00Z", 2d.')
    ],
    rep: Rep = None,
    as_json: AsJson = False,
) -> None:
    """Let a task rest; its reminder, its due time and all that follows move by as much."""
    moment = _until(until, datetime.now(UTC))

    async def rest() -> Task:
        async with _desk() as desk:
            return await desk.snooze(task, rep or person(), moment, datetime.now(UTC))

    clock = Clock(settings())
    _told(
        rested := run(rest()), as_json, f"rests until {clock(rested.snoozed_until)}, and is due {clock(rested.due_at)}"
    )


@app.command("reassign")
def reassign(
    task: Number,
    to: Annotated[str, typer.Option("--to", help="Who gets it.", metavar="NAME")],
    because: Annotated[str | None, typer.Option(help="Why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a task to somebody else, who has yet to claim it."""

    async def give() -> Task:
        async with _desk() as desk:
            return await desk.reassign(task, to, because, datetime.now(UTC))

    _told(run(give()), as_json, f"is {to}'s now")


@app.command("update")
def update(
    task: Number,
    stage: Annotated[str | None, typer.Option(help="Stage of the pipeline.")] = None,
    amount: Annotated[str | None, typer.Option(help="What the deal is worth.")] = None,
    close: Annotated[str | None, typer.Option(help="When it is expected to close.", metavar="DAY")] = None,
    rep: Rep = None,
    as_json: AsJson = False,
) -> None:
    """Work on the deal: its stage in the pipeline, its amount, its expected close."""

    async def write() -> Task:
        async with _desk() as desk:
            given = {"stage": stage, "amount": amount, "close": close}
            return await desk.update(task, rep or person(), given, datetime.now(UTC))

    written = run(write())
    _told(written, as_json, f"stands at {deal(written)}")


@app.command("done")
def done(
    task: Number,
    outcome: Annotated[str, typer.Option(help="won, lost, nurture or bad_lead.")],
    reason: Annotated[str | None, typer.Option(help="Why; lost and bad_lead need one.")] = None,
    amount: Annotated[str | None, typer.Option(help="What was won.")] = None,
    note: Annotated[str | None, typer.Option(help="What the next person should know.")] = None,
    rep: Rep = None,
    as_json: AsJson = False,
) -> None:
    """Finish a task with its outcome; the customer's journey goes on accordingly."""
    wanted = cast("Outcome", one_of("outcome", outcome, get_args(Outcome)))
    worth = read_amount(amount) if amount is not None else None

    async def finish() -> Task:
        async with _desk() as desk:
            return await desk.finish(
                task, rep or person(), wanted, now=datetime.now(UTC), reason=reason, amount=worth, note=note
            )

    finished = run(finish())
    _told(finished, as_json, f"is done: {finished.outcome}")


def _told(task: Task, as_json: bool, what: str) -> None:
    if as_json:
        print_json(task)
    else:
        notice(f"Task {task.id} {what}.")


def _until(text: str, now: datetime) -> datetime:
    """A moment, the morning of a day, or a span from now, in the workspace's time zone."""
    zone = Clock(settings()).zone
    try:
        if text[:1].isdigit() and "-" not in text:
            return add(now, Duration.parse(text), zone)
        if len(text) == 10:
            return at_wall_time(datetime.fromisoformat(text).date(), parse_time_of_day("09:00"), zone)
        return read_datetime(text)
    except (ValueError, OverflowError) as error:
        raise WaymarkError(
            f"--until: {error}", hint="Write a day, a moment with its zone, or a span such as 2d."
        ) from None
