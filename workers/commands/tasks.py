"""`tasks`: what sales has to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from activities.sales.desk import Desk, read_amount
from activities.sales.salesmail import money
from journeys.errors import WaymarkError
from journeys.fields import read_datetime
from journeys.sales import Outcome
from journeys.timing import Duration, add, at_wall_time, parse_time_of_day
from records.sales import assignments, notices, tasks
from records.sales.assignments import Step
from records.sales.notices import Notice
from records.sales.tasks import Status, Task
from workers.commands.shared import (
    AsJson,
    Clock,
    Limit,
    notice,
    out,
    person,
    print_json,
    print_lines,
    records,
    run,
    settings,
    table,
)
from workers.composition import compose

app = typer.Typer(help="What sales has to do.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="The task's number.", metavar="TASK")]
Rep = Annotated[str | None, typer.Option("--rep", help="Who works on it. Default: you.", metavar="NAME")]


@asynccontextmanager
async def _desk() -> AsyncIterator[Desk]:
    """Where reps work. What Temporal cannot be told now, because it is away or not named, it finds out later."""
    async with compose(settings(), channels={}, lazy=True) as parts:
        yield parts.desk


@app.command("list")
def list_(
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    rep: Annotated[str | None, typer.Option(help="Only what this rep has.", metavar="NAME")] = None,
    status: Annotated[str | None, typer.Option(help="open, claimed, done or expired.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what was due and is not done.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List tasks in the order to work on them: the most urgent first."""
    wanted = cast("Status | None", _one_of("status", status, get_args(Status)))

    async def load() -> list[Task]:
        async with records() as engine, engine.connect() as db:
            late = datetime.now(UTC) if overdue else None
            return await tasks.listing(db, queue, wanted, limit, rep=rep, overdue_at=late)

    found = run(load())
    if as_json:
        print_lines(found)
        return
    clock = Clock(settings())
    shown = table("task", "title", "customer", "who", "status", "due", right=("task",))
    for task in found:
        who = task.claimed_by or task.assigned_to or "—"
        status_ = task.outcome or task.status
        shown.add_row(
            str(task.id), escape(task.title), escape(task.customer), escape(who), status_, clock(task.due_at)
        )  # fmt: skip
    out.print(shown)


@app.command("show")
def show(task: Number, as_json: AsJson = False) -> None:
    """Show one task, and what became of it on its way."""

    async def load() -> tuple[Task, list[Step], list[Notice]]:
        async with records() as engine, engine.connect() as db:
            found = await tasks.get(db, task)
            return found, await assignments.history(db, task), await notices.for_task(db, task)

    one, steps, mails = run(load())
    if as_json:
        print_json({"task": one, "history": steps, "mails": mails})
        return
    clock = Clock(settings())
    facts = [
        ("customer", f"{one.customer} (`waymark customers show {one.customer_id}`)"), ("why", one.because or "—"),
        ("queue", f"{one.queue}, priority {one.priority}"), ("status", one.outcome or one.status),
        ("who", one.claimed_by or one.assigned_to or "nobody"), ("due", clock(one.due_at)),
        ("snoozed", clock(one.snoozed_until) if one.snoozed_until else None),
        ("deal", _deal(one)), ("reason", one.reason), ("note", one.note),
    ]  # fmt: skip
    out.print(f"Task {one.id}: {one.title}", markup=False, style="bold", soft_wrap=True)
    for name, value in facts:
        if value:
            out.print(f"  {name:9}{value}", markup=False, soft_wrap=True)
    for step in steps:
        said = ", ".join(part for part in (step.rep, step.because) if part)
        out.print(f"  {clock(step.at)}  {step.kind}{f': {said}' if said else ''}", markup=False, soft_wrap=True)
    for mail in mails:
        because = f": {mail.because}" if mail.because else ""
        said = f"{mail.kind} to {mail.recipient} {mail.status}{because}"
        out.print(f"  {clock(mail.settled_at or mail.due_at)}  mail, {said}", markup=False, soft_wrap=True)


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
    _told(written, as_json, f"stands at {_deal(written)}")


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
    wanted = cast("Outcome", _one_of("outcome", outcome, get_args(Outcome)))
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


def _deal(task: Task) -> str:
    parts = [
        task.pipeline, money(task.amount) if task.amount is not None else None,
        f"expected to close {task.expected_close}" if task.expected_close else None,
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


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


def _one_of(what: str, given: str | None, allowed: tuple[str, ...]) -> str | None:
    if given is not None and given not in allowed:
        raise WaymarkError(f"{what} {given!r} is not known.", hint=f"One of {', '.join(allowed)}.")
    return given
