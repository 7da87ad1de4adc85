"""`journeys`: the maps, from file to published version."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from activities.checking import Checker, published_names
from activities.publishing import load_all, load_files
from activities.rendering import Templates
from console.documents import document
from console.drawing import draw_svg
from console.outline import draw_mermaid, draw_text
from journeys.checks.definition import Finding
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.loading import LoadedJourney, parse
from journeys.source import InvalidFile
from records import reports
from records.reports import JourneySummary
from records.runs import moves, versions
from records.runs.moves import Traffic
from records.runs.versions import PublishedJourney
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
from workers.composition import resolve
from workers.settings import Settings

app = typer.Typer(help="The journey maps, from file to published version.", no_args_is_help=True)
Files = Annotated[
    list[Path] | None, typer.Argument(help="Maps. Default: all in definitions/journeys.", metavar="[FILES]")
]
Name = Annotated[str, typer.Argument(help="A published journey's name.", metavar="JOURNEY")]


@app.command("validate")
def validate(files: Files = None, as_json: AsJson = False) -> None:
    """Check maps and the messages that they send, without publishing; exit code 1 when something is wrong.

    What the contacts in the records lack is counted too, where the database is reachable. Warnings refuse nothing.
    """
    of = settings()
    try:
        found = load_maps(of, files)
        looked = run(_among_contacts(of, found))
        findings = _checker(of).check(found, looked.published) + looked.findings
    except InvalidFile as error:
        found, looked = [], Looked(None, [], "the maps have to be readable first")
        findings = [Finding.of(problem) for problem in error.problems]
    wrong = [one for one in findings if one.severity == "error"]
    if as_json:
        names = [] if wrong else [one.journey.journey for one in found]
        counted = looked.published is not None
        print_json({"valid": not wrong, "problems": findings, "journeys": names, "contacts_counted": counted})
    else:
        print_findings(findings)
        _print_verdict(found, wrong, looked)
    if wrong:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Looked:
    """What looking at the records came to; `published` is None when nobody could look, and `why` says why."""

    published: set[str] | None
    findings: list[Finding]
    why: str = ""


async def _among_contacts(of: Settings, found: list[LoadedJourney]) -> Looked:
    if not resolve(of).database_url and not (of.home / "postgres").is_dir():
        return Looked(None, [], "there is no database yet")
    try:
        async with records(of) as engine, engine.connect() as db:
            return Looked(await published_names(db), await _checker(of).check_contacts(db, found, datetime.now(UTC)))
    except InvalidFile:
        raise
    except WaymarkError as error:
        return Looked(None, [], error.message)


def _print_verdict(found: list[LoadedJourney], wrong: list[Finding], looked: Looked) -> None:
    if looked.published is None:
        notice(f"What contacts lack was not counted: {looked.why.rstrip('.')}.")
    if wrong:
        err.print(f"{len(wrong)} problem{'s' * (len(wrong) != 1)}. Nothing was published.")
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
    counts: Annotated[
        bool, typer.Option("--counts", help="Say how many contacts stand at each step, and how many went through.")
    ] = False,
) -> None:
    """Draw a map: as a tree in the terminal, or as a picture for everybody else."""
    drawers = {".svg": draw_svg, ".mmd": draw_mermaid}
    if output is not None and output.suffix not in drawers:
        raise WaymarkError(f"{output.name} ends in nothing that can be drawn.", hint="End it in .svg or .mmd.")
    path, traffic = Path(journey), None
    if path.suffix in (".yaml", ".yml") or path.exists():
        if counts or version:
            raise WaymarkError(
                f"{journey} is a file: nobody walks it.", hint="Name a published journey for --counts and --version."
            )
        [loaded] = load_files([path], load_fields(settings().definitions / "fields.yaml"))
    else:
        found, traffic = run(_walked(journey, version, counts))
        loaded = parse(found.source, journey)
    if output is None:
        out.print(draw_text(loaded.program, traffic))
        return
    output.write_text(drawers[output.suffix](loaded.program, traffic), encoding="utf-8")
    notice(f"{loaded.journey.title} is drawn in {output}.")


async def _walked(journey: str, version: int | None, counts: bool) -> tuple[PublishedJourney, Traffic | None]:
    found = await _published(journey, version)
    if not counts:
        return found, None
    async with records() as engine, engine.connect() as db:
        return found, await moves.traffic(db, journey, found.version)


async def _published(journey: str, version: int | None) -> PublishedJourney:
    async with records() as engine, engine.connect() as db:
        found = await versions.get(db, journey, version) if version else await versions.live(db, journey)
    if found is None:
        raise WaymarkError(
            f"There is no published journey {journey!r}.",
            hint="`waymark journeys list` shows those there are; for a file, give its path ending in .yaml.",
        )
    return found


def load_maps(of: Settings, files: list[Path] | None) -> list[LoadedJourney]:
    """The maps in these files, or all of the folder. Raises InvalidFile with all problems."""
    fields = load_fields(of.definitions / "fields.yaml")
    return load_files(files, fields) if files else load_all(of.definitions / "journeys", fields)


def checked(of: Settings, files: list[Path] | None) -> list[LoadedJourney]:
    """The maps, looked at with all that they use. Raises InvalidFile with everything that refuses publishing."""
    found = load_maps(of, files)
    problems = [one.problem for one in _checker(of).check(found) if one.severity == "error"]
    if problems:
        raise InvalidFile(problems)
    return found


def _checker(of: Settings) -> Checker:
    templates = Templates(of.templates, of.workspace_locale)
    return Checker(of.definitions, templates, load_fields(of.definitions / "fields.yaml"))


def print_findings(findings: list[Finding]) -> None:
    """One line each, as compilers write them."""
    signs = {"error": "[red]✗[/]", "warning": "[yellow]![/]"}
    for one in findings:
        err.print(f"{signs[one.severity]} {escape(str(one))}", soft_wrap=True)
