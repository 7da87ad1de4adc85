"""`journeys migrate`, `archive`, `unpublish`: which version is live, and who is on which."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operating.plans import Move, Plan, default_target, plan
from journeys.errors import WaymarkError
from records.runs import moves, versions
from records.runs.versions import JourneyListing
from workers.commands.going_on import foundation
from workers.commands.journeys import Name
from workers.commands.shared import AsJson, person, records, run
from workers.commands.standing import Because
from workers.commands.terminal import err, notice, out, print_json, table

if TYPE_CHECKING:
    from activities.operating.holding import Told

app = typer.Typer()
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
FATES = {
    "stays": "stay as they are, for as long as before",
    "recomputed": "the wait is reckoned from when they came to where they are",
    "at_once": "the step is taken at once",
    "begins": "begin there",
    "gone": "the step is gone: nobody said where they go",
}


@app.command("migrate")
def migrate(
    journey: Name,
    old: Annotated[int, typer.Option("--from", min=1, help="The version that the runs are on.", metavar="VERSION")],
    new: Annotated[
        int | None,
        typer.Option("--to", min=1, help="The version that they go over to. Default: the live one.", metavar="VERSION"),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="Where those go who stand at a step; may be repeated.", metavar="OLD=NEW"),
    ] = None,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Move the runs under way on one version to another, each to the step that its own has become.

    Nobody is moved when somebody stands at a step that is gone and no --map says where to go.
    """
    ways = _mapping(mapping or [])

    async def look(engine: AsyncEngine) -> Plan:
        async with engine.connect() as db:
            return await plan(db, journey, old, new or await default_target(db, journey), ways)

    async def work() -> tuple[Plan, Told | None]:
        if dry_run:
            async with records() as engine:
                return await look(engine), None
        async with foundation(lazy=True) as parts:
            made = await look(parts.engine)
            if made.gone:
                return made, None
            with err.status("Moving ...") as status:
                return await parts.migrating.migrate(
                    journey, old, made.new, ways, by=person(), because=because, now=datetime.now(UTC),
                    progress=lambda done, total: status.update(f"Told {done:,} of {total:,} runs"),
                )  # fmt: skip

    made, heard = run(work())
    if as_json:
        print_json(_plain(made, heard, dry_run))
    else:
        _print_plan(made)
    made.refuse_gone()
    if not as_json:
        _print_told(made, heard)


@app.command("archive")
def archive(journey: Name, as_json: AsJson = False) -> None:
    """Let nobody in any more; runs go on to their end. Publishing the map again brings the journey back."""

    async def work() -> tuple[bool, int]:
        async with records() as engine, engine.begin() as db:
            changed = await versions.archive(db, journey)
            return changed, sum((await moves.open_runs(db, journey)).values())

    changed, runs = run(work())
    if as_json:
        print_json({"journey": journey, "status": "archived", "changed": changed, "open_runs": runs})
    elif not changed:
        notice(f"{journey} is archived already; nothing changed.")
    else:
        notice(f"{journey} is archived: nobody comes in any more. {_going_on(runs)}")


@app.command("unpublish")
def unpublish(
    journey: Name,
    version: Annotated[
        int | None, typer.Option(min=1, help="Only if this is the live one, so that a repeat changes nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the version before the live one live again; archive the journey when there is none before it.

    Runs that are under way stay on the version they entered with.
    """

    async def work() -> tuple[versions.PublishedJourney | None, JourneyListing]:
        async with records() as engine, engine.begin() as db:
            return await versions.live(db, journey), await versions.unpublish(db, journey, version)

    before, now = run(work())
    changed = before is None or (before.version, before.status) != (now.live_version, now.status)
    if as_json:
        print_json({"journey": journey, "status": now.status, "live_version": now.live_version, "changed": changed})
    elif not changed and now.status == "archived":
        notice(f"{journey} is archived already; nothing changed.")
    elif not changed:
        notice(f"{journey}: version {now.live_version} is live, not version {version}; nothing changed.")
    elif now.status == "archived":
        notice(f"{journey} has no version before {now.live_version}: it is archived. Runs go on to their end.")
    else:
        notice(f"{journey}: version {now.live_version} is live again. Runs stay on the version they are on.")


def _mapping(given: list[str]) -> dict[str, str]:
    ways: dict[str, str] = {}
    for item in given:
        old, equals, new = (part.strip() for part in item.partition("="))
        if not (old and equals and new):
            raise WaymarkError(f"--map {item!r} is not OLD=NEW.", hint="Such as --map wait-2d=wait-3d.")
        if ways.setdefault(old, new) != new:
            raise WaymarkError(f"--map sends those at {old} to {ways[old]} and to {new}: name one.")
    return ways


def _plain(made: Plan, heard: Told | None, dry_run: bool) -> dict[str, Any]:
    return {
        "journey": made.journey, "from": made.old, "to": made.new, "map": made.mapping, "runs": made.runs,
        "moves": made.moves, "refused": [move.step for move in made.gone], "dry_run": dry_run,
        "ordered": heard.ordered if heard else 0, "complete": heard is not None and heard.away is None,
    }  # fmt: skip


def _print_plan(made: Plan) -> None:
    if not made.moves:
        return
    shown = table("from", "runs", "to", "what happens", right=("runs",))
    for move in made.moves:
        shown.add_row(move.step, f"{move.runs:,}", move.to or "?", escape(_becomes(move)))
    out.print(shown)


def _becomes(move: Move) -> str:
    again = [f"{message} may go again to {runs:,} who had it" for message, runs in move.again.items()]
    return "; ".join([FATES[move.fate], *again])


def _print_told(made: Plan, heard: Told | None) -> None:
    way = f"from version {made.old} to version {made.new} of {made.journey}"
    if not made.runs:
        notice(f"Nobody is under way on version {made.old} of {made.journey}; there is nothing to move.")
    elif heard is None:
        notice(f"{_runs(made.runs)} would go {way}. Nothing was changed.")
    elif heard.away is not None:
        notice(f"{_runs(made.runs)} go {way}. Temporal does not answer now; they go within a minute of its return.")
    elif heard.ordered < made.runs:
        already = made.runs - heard.ordered
        notice(f"{_runs(heard.ordered)} go {way} now; {already:,} had been told before and go at their next move.")
    else:
        notice(f"{_runs(made.runs)} go {way}. `waymark runs show RUN` says what became of one.")


def _going_on(runs: int) -> str:
    return f"{_runs(runs)} go{'es' * (runs == 1)} on to the end." if runs else "Nobody is under way."


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"
