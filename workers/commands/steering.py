"""`runs skip|move|exit|retry`: telling one run what to do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from activities.steering import Kind, Steered, Steering
from workers.commands.shared import AsJson, Clock, audience, notice, person, print_json, run, settings
from workers.commands.standing import Because, Number, plain_run, state_of


def skip(number: Number, because: Because = None, as_json: AsJson = False) -> None:
    """Skip the step at which a run stands: a message is not sent, a wait ends as if its time were over."""
    _order(number, "skip", {}, because, as_json)


def move(
    number: Number,
    to: Annotated[str, typer.Option("--to", help="A step of the version the run is on.", metavar="STEP")],
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """Move a run to another step of its map; it goes on from there at once."""
    _order(number, "move", {"to": to}, because, as_json)


def exit_(
    number: Number,
    outcome: Annotated[str | None, typer.Option(help="What to call this end. Default: removed.")] = None,
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """End a run now; nothing more is sent."""
    _order(number, "exit", {"outcome": outcome or "removed"}, because, as_json)


def retry(number: Number, because: Because = None, as_json: AsJson = False) -> None:
    """Try a message again now that was put off."""
    _order(number, "retry", {}, because, as_json)


def _order(number: int, kind: Kind, args: Mapping[str, Any], because: str | None, as_json: bool) -> None:
    async def give() -> Steered:
        async with audience() as (engine, people):
            steering = Steering(engine, people.router)
            return await steering.order(number, kind, args, by=person(), because=because, now=datetime.now(UTC))

    steered = run(give())
    if as_json:
        print_json({"order": steered.order, "taken": steered.waiting is None, "run": plain_run(steered.run)})
        return
    if steered.waiting is not None:
        notice(f"Order {steered.order} is kept, but {steered.waiting}: the run takes it as soon as it can.")
        return
    notice(where_it_stands(steered))


def where_it_stands(steered: Steered) -> str:
    """One line on what came of an order."""
    one = steered.run
    if one.ended_at is not None:
        return f"Run {one.id} has ended: {one.outcome or one.status}."
    summary = str((one.instruction or {}).get("summary") or "")
    until = f" until {Clock(settings())(one.wakes_at)}" if one.wakes_at else ""
    return f"Run {one.id} is {state_of(one)} at {one.step or 'entry'}{until}" + (f": {summary}." if summary else ".")
