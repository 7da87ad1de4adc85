"""`replay`: shows before a release is put into service whether runs under way go on with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import err, notice, out, print_lines
from workers.content import shipped

app = typer.Typer()

Folder = Annotated[
    Path | None,
    typer.Option("--histories", metavar="DIR", help="Folder of recorded histories. Default: those of this release."),
]
Sample = Annotated[
    int | None,
    typer.Option(min=0, max=10_000, help="Open runs to replay, where a server answers. Default: 50; 0: none."),
]


@app.command("replay")
def replay(folder: Folder = None, sample: Sample = None, as_json: AsJson = False) -> None:
    """Replay recorded histories, and some open runs, with the installed workflow; exit code 1 when one does not fit.

    Nothing is sent and no run is moved. Runs of another shape of the workflow are left out: they stay with the
    workers of their release.
    """
    # The workflow and all that it is replayed with take a second to import.
    from workers.replaying import SHAPE, replay_kept

    results = run(replay_kept(settings(), folder or shipped("histories"), sample, notice, _progress))
    misfits = [one for one in results if not one.fits]
    if as_json:
        print_lines(asdict(one) | {"fits": one.fits} for one in results)
    else:
        for one in misfits:
            out.print(f"✗ {one.name}: {one.because}", markup=False, soft_wrap=True)
        out.print(f"{len(results)} replayed, {len(misfits)} do not fit shape {SHAPE} of the workflow.")
    if misfits:
        raise typer.Exit(1)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("Replaying"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("replay", total=total)
        yield lambda: progress.advance(bar)
