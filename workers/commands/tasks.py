"""`tasks`: what sales has to do."""

from datetime import UTC, datetime
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from activities.desk import finish_task
from journeys.errors import WaymarkError
from records import tasks
from records.tasks import Outcome, Status, Task
from workers.commands.shared import (
    AsJson,
    Clock,
    Limit,
    audience,
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

app = typer.Typer(help="What sales has to do.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="The task's number.", metavar="TASK")]
Rep = Annotated[str | None, typer.Option("--rep", help="Who works on it. Default: you.", metavar="NAME")]


@app.command("list")
def list_(
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    status: Annotated[str | None, typer.Option(help="open, claimed or done.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List tasks in the order to work on them: the most urgent first."""
    wanted = cast("Status | None", _one_of("status", status, get_args(Status)))

    async def load() -> list[Task]:
        async with records() as engine, engine.connect() as db:
            return await tasks.listing(db, queue, wanted, limit)

    found = run(load())
    if as_json:
        print_lines(found)
        return
    clock = Clock(settings())
    shown = table("task", "title", "customer", "status", "due", right=("task",))
    for task in found:
        status_ = f"{task.status} by {task.claimed_by}" if task.status == "claimed" else task.outcome or task.status
        shown.add_row(str(task.id), escape(task.title), escape(task.customer), escape(status_), clock(task.due_at))
    out.print(shown)


@app.command("claim")
def claim(task: Number, rep: Rep = None, as_json: AsJson = False) -> None:
    """Take a task; of two who try at once, one gets it."""

    async def take() -> Task:
        async with records() as engine, engine.begin() as db:
            return await tasks.claim(db, task, rep or person(), datetime.now(UTC))

    taken = run(take())
    if as_json:
        print_json(taken)
        return
    notice(f"Task {taken.id} is yours, {taken.claimed_by}: {taken.title}")
    notice(f"  why: {taken.because or '—'}\n  who: `waymark customers show {taken.customer_id}`")


@app.command("done")
def done(
    task: Number,
    outcome: Annotated[str, typer.Option(help="won, lost or nurture.")],
    note: Annotated[str | None, typer.Option(help="What the next person should know.")] = None,
    rep: Rep = None,
    as_json: AsJson = False,
) -> None:
    """Finish a task with its outcome; the customer's journey goes on accordingly."""
    wanted = cast("Outcome", _one_of("outcome", outcome, get_args(Outcome)))

    async def finish() -> Task:
        async with audience(lazy=True) as (engine, people):
            return await finish_task(
                engine, people.router, task, rep=rep or person(), outcome=wanted, note=note, now=datetime.now(UTC)
            )

    finished = run(finish())
    if as_json:
        print_json(finished)
    else:
        notice(f"Task {finished.id} is done: {finished.outcome}.")


def _one_of(what: str, given: str | None, allowed: tuple[str, ...]) -> str | None:
    if given is not None and given not in allowed:
        raise WaymarkError(f"{what} {given!r} is not known.", hint=f"One of {', '.join(allowed)}.")
    return given
