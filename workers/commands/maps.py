"""`journeys validate`, and the maps of files for all commands that take some."""

from dataclasses import dataclass
from datetime import UTC, datetime

import typer
from rich.markup import escape

from activities.checking import published_names
from journeys.checks.definition import Finding
from journeys.errors import WaymarkError
from journeys.loading import LoadedJourney
from journeys.source import InvalidFile
from workers.commands.files import Maps
from workers.commands.shared import AsJson, records, run, settings
from workers.commands.terminal import err, notice, print_json
from workers.maps import checker, load_maps
from workers.running import resolve
from workers.settings import Settings

app = typer.Typer()


@app.command("validate")
def validate(files: Maps = None, as_json: AsJson = False) -> None:
    """Check maps and the messages that they send, without publishing; exit code 1 when something is wrong.

    What the contacts in the records lack is counted too, where the database is reachable. Warnings refuse nothing.
    """
    of = settings()
    try:
        found = load_maps(of, files)
        looked = run(_among_contacts(of, found))
        findings = checker(of).check(found, looked.published) + looked.findings
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
            return Looked(await published_names(db), await checker(of).check_contacts(db, found, datetime.now(UTC)))
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


def print_findings(findings: list[Finding]) -> None:
    """One line each, as compilers write them."""
    signs = {"error": "[red]✗[/]", "warning": "[yellow]![/]"}
    for one in findings:
        err.print(f"{signs[one.severity]} {escape(str(one))}", soft_wrap=True)
