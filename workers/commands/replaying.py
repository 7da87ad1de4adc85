"""`replay`: shows before a release is put into service whether runs under way go on with it."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from temporalio.client import Client, WorkflowExecution

from journeys.workflow import SHAPE
from workers import histories, temporal
from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import err, notice, out, print_lines
from workers.content import shipped
from workers.histories import Kept, Replayed
from workers.temporal import TemporalAwayError

app = typer.Typer()

SAMPLE = 50

Folder = Annotated[
    Path | None,
    typer.Option("--histories", metavar="DIR", help="Folder of recorded histories. Default: those of this release."),
]
Sample = Annotated[
    int | None,
    typer.Option(min=0, max=10_000, help=f"Open runs to replay, where a server answers. Default: {SAMPLE}; 0: none."),
]


@app.command("replay")
def replay(folder: Folder = None, sample: Sample = None, as_json: AsJson = False) -> None:
    """Replay recorded histories, and some open runs, with the installed workflow; exit code 1 when one does not fit.

    Nothing is sent and no run is moved. Runs of another shape of the workflow are left out: they stay with the
    workers of their release.
    """
    recorded = histories.read(folder or shipped("histories"))
    results = run(_replay(recorded, sample))
    misfits = [one for one in results if not one.fits]
    if as_json:
        print_lines(asdict(one) | {"fits": one.fits} for one in results)
    else:
        for one in misfits:
            out.print(f"✗ {one.name}: {one.because}", markup=False, soft_wrap=True)
        out.print(f"{len(results)} replayed, {len(misfits)} do not fit shape {SHAPE} of the workflow.")
    if misfits:
        raise typer.Exit(1)


async def _replay(recorded: Sequence[Kept], size: int | None) -> list[Replayed]:
    ours = [one for one in recorded if one.ours]
    if others := len(recorded) - len(ours):
        notice(f"{others} recorded histories are of another shape than {SHAPE}, and left out.")
    client, runs = await _open(size)

    async def kept() -> AsyncIterator[Kept]:
        for one in ours:
            yield one
        if client is not None:
            async for one in histories.fetch(client, runs):
                yield one

    results = []
    with _progress(len(ours) + len(runs)) as done:
        async for result in histories.replay(kept()):
            results.append(result)
            done()
    return results


async def _open(size: int | None) -> tuple[Client | None, Sequence[WorkflowExecution]]:
    """The server and the runs to replay from it. Raises TemporalAwayError when runs were asked for and none answers."""
    if size == 0:
        return None, []
    try:
        client = await temporal.connect(settings())
    except TemporalAwayError as away:
        if size is not None:
            raise
        notice(f"{away.message} No open runs are replayed.")
        return None, []
    runs = await histories.sample(client, size or SAMPLE)
    notice(f"{len(runs)} open runs are taken from {client.service_client.config.target_host}.")
    return client, runs


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("Replaying"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("replay", total=total)
        yield lambda: progress.advance(bar)
