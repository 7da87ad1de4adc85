"""`journeys draw`."""

from pathlib import Path
from typing import Annotated

import typer

from activities.publishing import load_files
from console.drawing import draw_svg
from console.outline import draw_mermaid, draw_text
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.loading import parse
from records.runs import moves
from records.runs.moves import Traffic
from records.runs.versions import PublishedJourney
from workers.commands.journeys import published
from workers.commands.shared import records, run, settings
from workers.commands.terminal import notice, out

app = typer.Typer()


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
    found = await published(journey, version)
    if not counts:
        return found, None
    async with records() as engine, engine.connect() as db:
        return found, await moves.traffic(db, journey, found.version)
