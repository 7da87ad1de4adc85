"""`runs resolve|skip|move|exit|retry`: telling one run what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from activities.deliveries.settling import Verdict, settle_by_hand
from journeys.errors import WaymarkError
from workers.commands.going_on import foundation
from workers.commands.shared import AsJson, person, run, settings
from workers.commands.standing import Because, Number, plain_run, state_of
from workers.commands.terminal import Clock, notice, print_json

if TYPE_CHECKING:
    from activities.operating.steering import Kind, Steered

app = typer.Typer()


@app.command("skip")
def skip(number: Number, because: Because = None, as_json: AsJson = False) -> None:
    """Skip the step at which a run stands: a message is not sent, a wait ends as if its time were over."""
    _order(number, "skip", {}, because, as_json)


@app.command("move")
def move(
    number: Number,
    to: Annotated[str, typer.Option("--to", help="A step of the version the run is on.", metavar="STEP")],
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """Move a run to another step of its map; it goes on from there at once."""
    _order(number, "move", {"to": to}, because, as_json)


@app.command("exit")
def exit_(
    number: Number,
    outcome: Annotated[str | None, typer.Option(help="What to call this end. Default: removed.")] = None,
    because: Because = None,
    as_json: AsJson = False,
) -> None:
    """End a run now; nothing more is sent."""
    _order(number, "exit", {"outcome": outcome or "removed"}, because, as_json)


@app.command("retry")
def retry(number: Number, because: Because = None, as_json: AsJson = False) -> None:
    """Try a message again now that was put off."""
    _order(number, "retry", {}, because, as_json)


@app.command("resolve")
def resolve(
    number: Number,
    as_: Annotated[
        str, typer.Option("--as", help="sent: it went, go on. resend: send it again.", metavar="sent|resend")
    ],
    as_json: AsJson = False,
) -> None:
    """Settle a message that may or may not have gone, after looking into the recipient's or the provider's records."""
    if as_ not in ("sent", "resend"):
        raise WaymarkError(f"--as {as_!r} is not known.", hint="One of sent, resend.")

    async def settle() -> list[str]:
        async with foundation() as parts:
            verdict = cast("Verdict", as_)
            return await settle_by_hand(parts.engine, parts.audience.router, number, verdict, now=datetime.now(UTC))

    settled = run(settle())
    if as_json:
        print_json({"run": number, "as": as_, "messages": settled})
    else:
        notice(f"Run {number}: {', '.join(settled)} settled as {as_}; it goes on now.")


def _order(number: int, kind: Kind, args: Mapping[str, Any], because: str | None, as_json: bool) -> None:
    async def give() -> Steered:
        async with foundation() as parts:
            return await parts.steering.order(number, kind, args, by=person(), because=because, now=datetime.now(UTC))

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
