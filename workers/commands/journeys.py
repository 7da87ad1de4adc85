"""`journeys`: the maps, from file to published version."""

from typing import Annotated

import typer
from rich.markup import escape

from console.documents import document
from journeys.errors import WaymarkError
from records import reports
from records.reports import JourneySummary
from records.runs import versions
from records.runs.versions import PublishedJourney
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import Clock, notice, out, print_json, print_lines, table

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="A published journey's name.", metavar="JOURNEY")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List published journeys with their figures."""

    async def load() -> list[JourneySummary]:
        async with records() as engine, engine.connect() as db:
            return await reports.journey_summary(db)

    found = run(load())
    if as_json:
        print_lines(found)
        return
    numbers = ("enrolled", "active", "sent", "clicked", "qualified", "goals")
    shown = table("journey", "status", "live", *numbers, right=numbers)
    for one in found:
        figures = (one.enrolled, one.active, one.sent, one.clicked, one.qualified, one.goals)
        shown.add_row(one.journey, one.status, _versions(one), *(f"{figure:,}" for figure in figures))
    out.print(shown)
    if not found:
        notice("No journey is published yet: `waymark journeys publish`.")


@app.command("show")
def show(
    journey: Name,
    version: Annotated[int | None, typer.Option(min=1, help="Default: the live one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a published version as its author wrote it, and how many runs are under way on which version."""

    async def load() -> tuple[PublishedJourney, JourneySummary]:
        one = await published(journey, version)
        async with records() as engine, engine.connect() as db:
            (summary,) = [found for found in await reports.journey_summary(db) if found.journey == journey]
            return one, summary

    one, summary = run(load())
    if as_json:
        going = {number: summary.open_runs.get(str(number), 0) for number in summary.versions}
        print_json(
            {**document(one), "status": summary.status, "live_version": summary.live_version, "open_runs": going}
        )
        return
    clock = Clock(settings())
    notice(f"{one.journey} version {one.version}, published {clock(one.published_at)} by {one.published_by}")
    notice(f"The journey is {summary.status}. " + _under_way(summary) + "\n")
    out.print(escape(one.source), end="", soft_wrap=True)


def _versions(one: JourneySummary) -> str:
    """The live version, and those that still have runs under way."""
    others = [f"{runs:,} on v{number}" for number, runs in one.open_runs.items() if int(number) != one.live_version]
    return ", ".join([f"v{one.live_version}", *others])


def _under_way(one: JourneySummary) -> str:
    counts = [
        f"version {number}{' (live)' * (number == one.live_version)}: {one.open_runs.get(str(number), 0):,}"
        for number in one.versions
        if number == one.live_version or str(number) in one.open_runs
    ]
    return f"Runs under way on {', '.join(counts)}."


async def published(journey: str, version: int | None) -> PublishedJourney:
    """The version that is asked for, or the live one. Raises WaymarkError when there is none."""
    async with records() as engine, engine.connect() as db:
        found = await versions.get(db, journey, version) if version else await versions.live(db, journey)
    if found is None:
        raise WaymarkError(
            f"There is no published journey {journey!r}.",
            hint="`waymark journeys list` shows those there are; for a file, give its path ending in .yaml.",
        )
    return found
