"""`journeys`: the maps, from file to published version."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from activities.publishing import load_all, load_files, message_problems
from activities.rendering import Templates
from console.documents import document
from console.drawing import draw_mermaid, draw_svg, draw_text
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.loading import LoadedJourney, parse
from journeys.source import InvalidFile, Problem
from records import reports, versions
from records.reports import JourneySummary
from records.versions import PublishedJourney
from workers.commands.shared import (
    AsJson,
    Clock,
    err,
    notice,
    out,
    print_json,
    print_lines,
    records,
    run,
    settings,
    table,
)
from workers.settings import Settings

app = typer.Typer(help="The journey maps, from file to published version.", no_args_is_help=True)
Files = Annotated[
    list[Path] | None, typer.Argument(help="Maps. Default: all in definitions/journeys.", metavar="[FILES]")
]
Name = Annotated[str, typer.Argument(help="A published journey's name.", metavar="JOURNEY")]


@app.command("validate")
def validate(files: Files = None, as_json: AsJson = False) -> None:
    """Check maps and the messages that they send, without publishing; exit code 1 when something is wrong."""
    try:
        found: list[LoadedJourney] = checked(settings(), files)
    except InvalidFile as error:
        if as_json:
            print_json({"valid": False, "problems": error.problems})
        else:
            print_problems(error.problems)
        raise typer.Exit(1) from None
    if as_json:
        print_json({"valid": True, "problems": [], "journeys": [one.journey.journey for one in found]})
        return
    for one in found:
        steps = len(one.program.nodes)
        notice(f"{one.journey.journey}: fine, {steps} steps, {len(list(one.program.sends()))} messages")


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
        one = await _published(journey, version)
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


@app.command("draw")
def draw(
    journey: Annotated[
        str, typer.Argument(help="A map's file, or a published journey's name.", metavar="JOURNEY|FILE")
    ],
    version: Annotated[int | None, typer.Option(min=1, help="Of a published journey. Default: the live one.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a picture (.svg) or Mermaid (.mmd).", metavar="FILE"),
    ] = None,
) -> None:
    """Draw a map: as a tree in the terminal, or as a picture for everybody else."""
    path = Path(journey)
    if path.suffix in (".yaml", ".yml") or path.exists():
        [loaded] = load_files([path], load_fields(settings().definitions / "fields.yaml"))
    else:
        loaded = parse(run(_published(journey, version)).source, journey)
    if output is None:
        out.print(draw_text(loaded.program))
        return
    drawers = {".svg": draw_svg, ".mmd": draw_mermaid}
    if output.suffix not in drawers:
        raise WaymarkError(f"{output.name} ends in nothing that can be drawn.", hint="End it in .svg or .mmd.")
    output.write_text(drawers[output.suffix](loaded.program), encoding="utf-8")
    notice(f"{loaded.journey.title} is drawn in {output}.")


async def _published(journey: str, version: int | None) -> PublishedJourney:
    async with records() as engine, engine.connect() as db:
        found = await versions.get(db, journey, version) if version else await versions.live(db, journey)
    if found is None:
        raise WaymarkError(
            f"There is no published journey {journey!r}.",
            hint="`waymark journeys list` shows those there are; for a file, give its path ending in .yaml.",
        )
    return found


def checked(of: Settings, files: list[Path] | None) -> list[LoadedJourney]:
    """The maps, with every message that they send looked at too. Raises InvalidFile with all problems."""
    fields = load_fields(of.definitions / "fields.yaml")
    found = load_files(files, fields) if files else load_all(of.definitions / "journeys", fields)
    templates = Templates(of.templates, of.workspace_locale)
    problems = [problem for one in found for problem in message_problems(one, templates, frozenset(fields))]
    if problems:
        raise InvalidFile(list(dict.fromkeys(problems)))
    return found


def print_problems(problems: list[Problem]) -> None:
    """One line a problem, as compilers write them."""
    for problem in problems:
        err.print(f"[red]✗[/] {escape(str(problem))}", soft_wrap=True)
    err.print(f"{len(problems)} problem{'s' * (len(problems) != 1)}. Nothing was published.")
