"""`runs`: customers on their way through journeys."""

from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from journeys.errors import WaymarkError
from records.messages import touches
from records.messages.touches import Touch
from records.people import customers
from records.runs import enrolments, paths
from records.runs.enrolments import Enrolment, Status
from records.runs.paths import PathStep
from workers.commands.shared import AsJson, Limit, records, run, settings
from workers.commands.standing import Number, plain_run, state_of
from workers.commands.terminal import Clock, notice, out, print_json, print_lines, table

app = typer.Typer()
STUCK = ("retrying", "held", "paused", "quiet", "capped")
"""States of a run that does not go on as its map says; a list says why."""


@app.command("list")
def list_(
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Only runs with a message that may or may not have gone.")
    ] = False,
    journey: Annotated[str | None, typer.Option(help="Only this journey.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    status: Annotated[str | None, typer.Option(help="pending, active, finished, exited or failed.")] = None,
    limit: Limit = 100,
    after: Annotated[int, typer.Option(min=0, help="Only numbers after this one.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List runs."""
    if status is not None and status not in get_args(Status):
        raise WaymarkError(f"status {status!r} is not known.", hint=f"One of {', '.join(get_args(Status))}.")

    async def load() -> list[Enrolment]:
        async with records() as engine, engine.connect() as db:
            who = (await customers.find(db, customer)).id if customer else None
            return await enrolments.listing(
                db, journey=journey, customer_id=who, status=cast("Status | None", status), uncertain=uncertain,
                limit=limit, after=after,
            )  # fmt: skip

    found = run(load())
    if as_json:
        print_lines(plain_run(one) for one in found)
        return
    clock = Clock(settings())
    reasons = [escape(one.because or "") if state_of(one) in STUCK else "" for one in found]
    shown = table("run", "journey", "customer", "status", "step", "wakes", right=("run", "customer"))
    if any(reasons):
        shown.add_column("why", overflow="fold")
    for one, reason in zip(found, reasons, strict=True):
        ended = one.outcome or one.status
        where = one.step if one.ended_at is None else ended
        shown.add_row(
            str(one.id), f"{one.journey} v{one.version}", str(one.customer_id), state_of(one), where or "—",
            clock(one.wakes_at) if one.ended_at is None else "",
            *([reason] if any(reasons) else []),
        )  # fmt: skip
    out.print(shown)
    if len(found) == limit:
        notice(f"There may be more: --after {found[-1].id}")


@app.command("show")
def show(number: Number, as_json: AsJson = False) -> None:
    """Show one run: where it stands and why, the way it took, and its messages."""

    async def load() -> tuple[Enrolment, list[PathStep], list[Touch]]:
        async with records() as engine, engine.connect() as db:
            one = await enrolments.get(db, number)
            way = await paths.taken(db, number)
            sent = [t for t in await touches.for_customer(db, one.customer_id, 1000) if t.enrolment_id == number]
            return one, way, sent[::-1]

    one, way, sent = run(load())
    workflow = one.workflow
    if as_json:
        print_json({"run": plain_run(one), "workflow": workflow, "path": way, "touches": sent})
        return
    clock = Clock(settings())
    out.print(f"[bold]Run {one.id}[/]: {escape(one.journey)} version {one.version}, customer {one.customer_id}")
    state = state_of(one) + (f" ({one.outcome})" if one.outcome else "")
    out.print(
        f"  {state}" + (f" at {one.step}" if one.step else "") + (f": {escape(one.because)}" if one.because else "")
    )
    if one.ended_at is None and one.wakes_at:
        out.print(f"  wakes {clock(one.wakes_at)}")
    if one.ended_at is None and one.awaiting:
        out.print(f"  awaits {escape(', '.join(one.awaiting))}")
    out.print(f"  entered {clock(one.enrolled_at)} by {escape(one.source)}; workflow {workflow}\n", soft_wrap=True)
    path = table("when", "step", "what", "why")
    for step in way:
        why = step.detail.get("because") or ""
        path.add_row(clock(step.at), step.step, step.kind, escape(str(why)))
    out.print(path)
    if sent:
        out.print()
        messages = table("message", "status", "when", "why")
        for touch in sent:
            messages.add_row(
                touch.message, touch.status, clock(touch.settled_at or touch.claimed_at), escape(touch.because or "")
            )
        out.print(messages)
