"""`journeys publish`: bringing maps into force, and saying what that changes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.files import Maps
from workers.commands.shared import AsJson, person, records, run, settings
from workers.commands.terminal import notice, print_lines

if TYPE_CHECKING:
    from activities.publishing import Published

app = typer.Typer()
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Since = Annotated[
    str,
    typer.Option(help="How recent the event must be for those who enter by one, such as 30d.", metavar="DURATION"),
]


@app.command("publish")
def publish(
    files: Maps = None,
    dry_run: DryRun = False,
    backfill: Annotated[
        bool, typer.Option("--backfill/--no-backfill", help="Take in the contacts who qualify already.")
    ] = False,
    backfill_since: Since = "30d",
    as_json: AsJson = False,
) -> None:
    """Publish maps as new versions and say what that changes; those that mean the same as before stay as they are.

    Runs that are under way stay on the version they entered with. Contacts who qualify already are counted, and taken
    in only with --backfill.
    """
    # Whoever publishes needs most of what there is; help does not wait for it.
    from activities.publishing import publish as publish_all
    from workers.commands.backfilling import bring_segments, count_waiting, lookback, take_in, told_waiting
    from workers.maps import checked

    of = settings()
    found = checked(of, files)
    now = datetime.now(UTC)
    since = lookback(backfill_since, now)

    async def write() -> tuple[list[Published], dict[str, int]]:
        async with records(of) as engine, engine.connect() as db:
            published = await publish_all(db, found, now=now, by=person())
            await bring_segments(db, found, of, now)
            waiting = await count_waiting(db, found, now, since)
            await (db.rollback() if dry_run else db.commit())
            return published, waiting

    published, waiting = run(write())
    if as_json:
        print_lines({**asdict(one), "qualify": waiting[one.journey]} for one in published)
    for one in [] if as_json else published:
        for line in told(one, dry_run) + told_waiting(one.journey, waiting[one.journey], backfill):
            notice(line)
    if backfill and not dry_run:
        run(take_in(waiting, now, since))


def told(one: Published, dry_run: bool = False) -> list[str]:
    """What a publication changes, in words."""
    if not one.new:
        return [f"{one.journey}: version {one.version} was live already; nothing changed"]
    lines = [f"{one.journey}: version {one.version} {'would be' if dry_run else 'is'} live"]
    if one.changes is None:
        lines.append("  what changes cannot be told: the version before is in a language that is no longer read")
    elif one.before == one.version:
        lines.append("  it was archived, and takes people in again")
    elif one.before is not None:
        lines += [f"  {change}" for change in one.changes] or ["  it says the same in other words"]
    for version, runs in one.staying.items():
        lines.append(
            f"  {_runs(runs)} stay{'s' * (runs == 1)} on version {version}; to move them: "
            f"`waymark journeys migrate {one.journey} --from {version} --to {one.version}`"
        )
    return lines


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"
