"""`tasks`: what sales has to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from activities.sales.briefing import Briefing, brief
from journeys.errors import WaymarkError
from records.sales import assignments, notices, tasks
from records.sales.assignments import Step
from records.sales.notices import Notice
from records.sales.tasks import Status, Task
from workers.commands.amounts import money
from workers.commands.shared import AsJson, Limit, records, run, settings
from workers.commands.terminal import Clock, out, print_json, print_lines, table

app = typer.Typer()
Number = Annotated[int, typer.Argument(help="The task's number.", metavar="TASK")]


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
    wanted = cast("Status | None", one_of("status", status, get_args(Status)))

    async def load() -> list[Task]:
        async with records() as engine, engine.connect() as db:
            late = datetime.now(UTC) if overdue else None
            return await tasks.listing(db, queue, wanted, limit, rep=rep, overdue_at=late)

    found = run(load())
    if as_json:
        print_lines(found)
        return
    clock, now = Clock(settings()), datetime.now(UTC)
    shown = table("task", "title", "customer", "who", "status", "due", right=("task",))
    shown.columns[-1].no_wrap = True
    for task in found:
        who = task.claimed_by or task.assigned_to or "—"
        late = task.status in tasks.OPEN and task.due_at is not None and task.due_at < now
        status_ = f"{task.outcome or task.status}{', late' if late else ''}"
        shown.add_row(
            str(task.id), escape(task.title), escape(task.customer), escape(who), status_, clock(task.due_at),
            style="red" if late else None,
        )  # fmt: skip
    out.print(shown)


@app.command("show")
def show(task: Number, as_json: AsJson = False) -> None:
    """Show one task, and what became of it on its way."""

    async def load() -> tuple[Briefing, list[Step], list[Notice]]:
        async with records() as engine, engine.connect() as db:
            known = await brief(db, task, datetime.now(UTC))
            return known, await assignments.history(db, task), await notices.for_task(db, task)

    known, steps, mails = run(load())
    one, who = known.task, known.customer
    if as_json:
        print_json({"task": one, "score": known.score, "points": known.points, "history": steps, "mails": mails})
        return
    clock = Clock(settings())
    made_of = ", ".join(f"{given.points:+} {given.because}" for given in known.points)
    facts = [
        ("customer", f"{one.customer} (`waymark customers show {one.customer_id}`)"),
        ("reach", ", ".join(part for part in (who.phone, who.email) if part)), ("why", one.because or "—"),
        ("score", f"{known.score}: {made_of}" if made_of else None),
        ("queue", f"{one.queue}, priority {one.priority}"), ("rule", one.rule), ("status", one.outcome or one.status),
        ("who", one.claimed_by or one.assigned_to or "nobody"), ("due", clock(one.due_at)),
        ("snoozed", clock(one.snoozed_until) if one.snoozed_until else None),
        ("deal", deal(one)), ("reason", one.reason), ("note", one.note),
    ]  # fmt: skip
    out.print(f"Task {one.id}: {one.title}", markup=False, style="bold", soft_wrap=True)
    for name, value in facts:
        if value:
            out.print(f"  {name:9}{value}", markup=False, soft_wrap=True)
    story: list[tuple[datetime, str, str]] = [
        (step.at, step.kind, ", ".join(part for part in (step.rep, step.because) if part)) for step in steps
    ]
    if one.done_at is not None:
        story.append((one.done_at, "done", f"{one.done_by}, {one.outcome}"))
    for mail in mails:
        because = f": {mail.because}" if mail.because else ""
        said = f"{mail.kind} to {mail.recipient} {mail.status}{because}"
        story.append((mail.settled_at or mail.due_at, "mail", said))
    for at, what, said in sorted(story, key=lambda line: line[0]):
        out.print(f"  {clock(at)}  {what}{f': {said}' if said else ''}", markup=False, soft_wrap=True)


def deal(task: Task) -> str:
    """Where a deal stands: its stage, amount and expected close, as far as they are known."""
    parts = [
        task.pipeline, money(task.amount, settings().workspace_currency) if task.amount is not None else None,
        f"expected to close {task.expected_close}" if task.expected_close else None,
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def one_of(what: str, given: str | None, allowed: tuple[str, ...]) -> str | None:
    """What was given, if it is one of these. Raises WaymarkError."""
    if given is not None and given not in allowed:
        raise WaymarkError(f"{what} {given!r} is not known.", hint=f"One of {', '.join(allowed)}.")
    return given
